-- Asks Jobpass about the request before it is passed on. Only a 200 lets through: whatever goes wrong here leaves
-- txn.jobpass_status unset, and the configuration refuses.

local address = os.getenv("JOBPASS_FORWARD_AUTH")
local secret = os.getenv("JOBPASS_SERVICE_SECRET")

local identity = {
    "jobpass-project", "jobpass-project-id", "jobpass-pipeline-id", "jobpass-job-id", "jobpass-token-id",
    "jobpass-subject", "jobpass-ref", "jobpass-protected", "jobpass-permissions", "jobpass-would-deny",
}

-- HAProxy counts the values of a header from 0.
local function all(values)
    local list, index = {}, 0
    while values and values[index] do
        list[#list + 1] = values[index]
        index = index + 1
    end
    return list
end

core.register_action("jobpass", { "http-req" }, function(txn)
    local headers = txn.http:req_get_headers()
    local asked = {
        ["x-jobpass-service"] = { secret },
        ["x-forwarded-method"] = { txn.sf:method() },
        -- As it came, with its query.
        ["x-forwarded-uri"] = { txn.sf:pathq() },
        -- A client that sends two is told so by Jobpass.
        ["authorization"] = all(headers["authorization"]),
        ["job-token"] = all(headers["job-token"]),
        ["private-token"] = all(headers["private-token"]),
    }
    local answer = core.httpclient():get { url = address, headers = asked, timeout = 10000 }
    local told = function(name)
        local value = answer.headers and answer.headers[name]
        return value and value[0] or ""
    end
    txn:set_var("txn.jobpass_reason", told("jobpass-reason"))
    txn:set_var("txn.jobpass_text", answer.body or "")
    if answer.status == 200 then
        for _, name in ipairs(identity) do
            txn.http:req_set_header(name, told(name))
        end
    end
    txn:set_var("txn.jobpass_status", tostring(answer.status))
end)
