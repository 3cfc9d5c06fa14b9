-- What wrk sends, and whether each answer is the one that was due: started by load.py with
-- FOLDER STATUS (lines | lines-once) FILE SKIP, or FOLDER STATUS numbers PREFIX DIGITS.

local threads = {}

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function setup(thread)
  threads[#threads + 1] = thread
end

local function numbered(prefix, digits)
  local number, shape = 0, "%s%0" .. digits .. "d"
  return function()
    number = number + 1
    return shape:format(prefix, number)
  end
end

local function listed(path, skip, once)
  local lines, at = {}, 0
  for line in io.lines(path) do
    if skip > 0 then skip = skip - 1 else lines[#lines + 1] = line end
  end
  return function()
    at = at + 1
    if at > #lines then
      if once then ran_out = ran_out + 1 end
      at = 1
    end
    return lines[at]
  end
end

function init(args)
  local folder = args[1]
  before, after = read(folder .. "/before"), read(folder .. "/after")
  text, never = read(folder .. "/text"), read(folder .. "/never")
  due = tonumber(args[2])
  unexpected, ran_out, example = 0, 0, ""
  if args[3] == "numbers" then
    next_item = numbered(args[4], args[5])
  else
    next_item = listed(args[4], tonumber(args[5]), args[3] == "lines-once")
  end
end

function request()
  return before .. next_item() .. after
end

function response(status, _, body)
  if status == due and (text == "" or body:find(text, 1, true)) and (never == "" or not body:find(never, 1, true)) then return end
  unexpected = unexpected + 1
  if example == "" then example = (status .. " " .. body:sub(1, 200)):gsub("[^%w%p ]", " "):gsub('[\\"]', "'") end
end

function done(summary, latency)
  local wrong, out, shown = 0, 0, ""
  for _, thread in ipairs(threads) do
    wrong, out = wrong + thread:get("unexpected"), out + thread:get("ran_out")
    if shown == "" then shown = thread:get("example") end
  end
  local errors = summary.errors
  local sockets = errors.connect + errors.read + errors.write + errors.timeout
  io.write(('{"answers":%d,"seconds":%.6f,"unexpected":%d,"socket_errors":%d,"ran_out":%d,"p99_ms":%.3f,"example":"%s"}\n'):format(
    summary.requests, summary.duration / 1e6, wrong, sockets, out, latency:percentile(99) / 1e3, shown))
end
