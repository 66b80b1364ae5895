-- For wrk: what a client of a forward proxy sends. Arguments: URL, Host, Proxy-Authorization.
function init(args)
  request_text = wrk.format("GET", args[1], {
    ["Host"] = args[2],
    ["Proxy-Authorization"] = args[3],
    ["User-Agent"] = "ExampleFetcher/1.0 (+https://fetcher.example/about)",
    ["Accept"] = "*/*",
  })
end

function request()
  return request_text
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'FIGURES {"requests": %d, "microseconds": %d, "failed": %d, "broken": %d, ' ..
    '"p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
