"""One module per figure of docs/performance.md; `scripts/bench list` names them. What they share is in `common`."""
