-- For wrk: sends the lines of a file as bodies, or the paths of a file, in turns. See load.py.
local method = os.getenv("BENCH_METHOD")
local path = os.getenv("BENCH_PATH")
local body = os.getenv("BENCH_BODY")
local lines = os.getenv("BENCH_LINES")
local kind = os.getenv("BENCH_KIND")
local next_line = tonumber(os.getenv("BENCH_FIRST") or "0")
local requests = {}

function init(args)
    wrk.headers["Content-Type"] = os.getenv("BENCH_TYPE")
    wrk.headers["Authorization"] = os.getenv("BENCH_AUTHORIZATION")
    for line in io.lines(lines) do
        if kind == "paths" then
            requests[#requests + 1] = wrk.format(method, path .. line, nil, body)
        else
            requests[#requests + 1] = wrk.format(method, path, nil, line)
        end
    end
end

function request()
    local chosen = requests[next_line % #requests + 1]
    next_line = next_line + 1
    return chosen
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %f, "refused": %d, "broken": %d, "median_ms": %f, "late_ms": %f, "longest_ms": %f}\n',
        summary.requests, summary.duration / 1e6, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3
    ))
end
