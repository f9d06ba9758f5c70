from importlib import import_module
from io import BytesIO
from pkgutil import iter_modules

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from forbear.domain.fingerprint import FingerprintChain
from forbear.domain.suppression import BUILT_IN, EVERYTHING, Entry, Purpose, Reason
from forbear.index import kernels, warming
from forbear.index.addresses import Keys, RowFingerprinter
from forbear.index.engine import Engine
from forbear.index.fingerprint_set import FingerprintSet
from forbear.index.list_file import ListFile
from forbear.index.list_formats import ListFormat, open_list
from forbear.index.rules import RuleBook
from forbear.index.send_list import ListOptions, ListReader
from forbear.index.table import Header, Origin, TableWriter, open_table
from tests.formats import NDJSON, PARQUET


def compiled_kernels():
    """For each kernel, the kinds of arguments it was compiled for."""
    modules = [import_module(f"{kernels.__name__}.{module.name}") for module in iter_modules(kernels.__path__)]
    found = [(module.__name__, name, kernel) for module in modules for name, kernel in vars(module).items()]
    return {(module, name): list(kernel.signatures) for module, name, kernel in found if isinstance(kernel, Dispatcher)}


def decide_all_ways(engine, keys):
    some = keys.select(np.flatnonzero(keys.state))
    for chosen in (keys, some, Keys.of(some.as_fingerprints())):
        engine.decide(chosen, Purpose.MARKETING, EVERYTHING, BUILT_IN)


def filter_list(engine, data):
    fingerprinter = RowFingerprinter(FingerprintChain((b"a" * 32, b"b" * 32)))
    reader, seen = ListReader(ListOptions()), FingerprintSet()
    for rows in filter(None, (reader.feed(data[:20]), reader.feed(data[20:]), reader.finish())):
        keys = fingerprinter.make(rows.cell_data, rows.cell_starts, rows.cell_ends)
        is_new = seen.add_rows(keys.match, (keys.state != 0).astype(np.uint8))
        rows.copy(is_new)
        rows.copy(is_new == 1)
        decide_all_ways(engine, keys)
    decide_all_ways(engine, fingerprinter.make_texts(["ann@example.com", "bob@gmail.com", "nobody"]))
    for number in range(3):
        seen.add_rows(np.full((1000, 4), number, dtype=np.uint32), np.ones(1000, dtype=np.uint8))


def test_nothing_is_left_to_compile_after_warming_up(tmp_path):
    header = Header(Origin("key", 1, "server"), "position", "mark", "now", has_domains=False)
    writer = TableWriter(tmp_path / "index", header, 1)
    writer.finish(RuleBook())
    warming.warm_up()
    assert warming.is_compiled()
    before = compiled_kernels()
    table = open_table(tmp_path / "index", header.origin)
    for engine in (Engine(None, RuleBook()), Engine(table, table.book)):
        engine.put([(bytes(16), (Entry(Reason.MANUAL, EVERYTHING),))], with_domains=True)
        engine.show()
        filter_list(engine, b'\xef\xbb\xbfann@example.com;1\r\n\r\nbob@gmail.com;2;3\n"bob ""b""""@x.example"x;4\n')
        filter_list(engine, b'email\n"ann+x@gmail.com"\nj\xc3\xb6rg@example.com\n\xff@example.com\n')
    assert compiled_kernels() == before


@pytest.mark.parametrize("form", [NDJSON, PARQUET], ids=str)
def test_other_formats_leave_nothing_to_compile_either(form):
    warming.warm_up()
    before = compiled_kernels()
    engine, seen = Engine(None, RuleBook()), FingerprintSet()
    data = form.write([{"email": email} for email in ("ann@example.com", None, "bob@gmail.com", "jörg@example.com")])
    listed = open_list(ListFormat(form.name), ListOptions(), ListFile(BytesIO()))
    for rows in filter(None, (listed.feed(data), *listed.finish())):
        keys = rows.make_keys(RowFingerprinter(FingerprintChain((b"a" * 32,))))
        is_new = seen.add_rows(keys.match, (keys.state != 0).astype(np.uint8))
        decide_all_ways(engine, keys)
        assert form.read(listed.open_writer(()).write(rows, is_new == 1, ()) or data)
    assert compiled_kernels() == before
