package keynest

// Section 8 of the contract, webhooks: each call. What is delivered, and when, is
// tested with the layer and with real nodes.

func webhooks() []section {
	const (
		shown     = `"url":"https://example.com/hook","events":["variable.created","variable.updated"],"organization":{acme},"is_active":true,"created_at":"*","disabled_reason":"","failing_since":null}`
		hookShown = `{"id":"webhook_1",` + shown
		hookMade  = `{"id":"webhook_1","secret":"*",` + shown
		waiting   = `"message_id":"*","created_at":"*","status":"pending","attempts":0,"last_attempt_at":null,"response_status":null,"error":"","next_attempt_at":null,"duration_ms":0`
		testing   = `{"id":1,"event":"webhook.test",` + waiting + `}`
		told      = `{"id":2,"event":"variable.updated",` + waiting
		hook      = `{"url":"https://example.com/hook","events":["variable.updated","variable.created"],"organization":{acme}}`
	)
	return []section{{title: "8 Webhooks", lines: []line{
		{rule: "POST /api/webhooks/ 201, with the secret (ours)", as: "ada", call: "POST /api/webhooks/", body: hook, code: 201, want: hookMade},
		{rule: "GET /api/webhooks/ 200, paginated, without secrets (ours)", as: "ada", call: "GET /api/webhooks/?organization={acme}", code: 200, want: pageOfOne(hookShown)},
		{rule: "GET /api/webhooks/{id}/ 200 (ours)", as: "ada", call: "GET /api/webhooks/webhook_1/", code: 200, want: hookShown},
		{rule: "the number alone is an id too (ours)", as: "ada", call: "GET /api/webhooks/1", code: 200, want: hookShown},
		{rule: "PATCH /api/webhooks/{id}/ 200 (ours)", as: "ada", call: "PATCH /api/webhooks/webhook_1/", body: `{"url":"https://example.com/hook"}`, code: 200, want: hookShown},
		{rule: "PATCH with a secret shows it (ours)", as: "ada", call: "PATCH /api/webhooks/webhook_1/", body: `{"secret":"correct-horse-battery"}`, code: 200,
			want: `{"id":"webhook_1","secret":"correct-horse-battery",` + shown},
		{rule: "POST test/ 202 (ours)", as: "ada", call: "POST /api/webhooks/webhook_1/test/", code: 202, want: testing},
		{rule: "a change is told (spec)", as: "eve", call: "PATCH /api/variables/{key}/", body: `{"value":"told"}`, code: 200, want: `"*"`},
		{rule: "GET deliveries/ 200, the newest first (ours)", as: "ada", call: "GET /api/webhooks/webhook_1/deliveries/", code: 200,
			want: `{"count":2,"next":null,"previous":null,"results":[` + told + `},` + testing + `]}`},
		{rule: "GET deliveries/{n}/ 200, with the payload, and never a value (spec, ours)", as: "ada", call: "GET /api/webhooks/webhook_1/deliveries/2/", code: 200,
			want: told + `,"payload":{"event":"variable.updated","timestamp":"*","data":{"variable":{"id":{key},"key":"API_KEY","environment_id":{production},"updated_by":"eve@example.com"}}}}`},
		{rule: "POST redeliver/ 202 (ours)", as: "ada", call: "POST /api/webhooks/webhook_1/deliveries/2/redeliver/", code: 202, want: told + `}`},
		{rule: "a delivery that is not there is 404 (ours)", as: "ada", call: "GET /api/webhooks/webhook_1/deliveries/3/", code: 404, want: failure("NOT_FOUND", "Delivery not found.", "null")},
		{rule: "what it may not point to is 400 (ours)", as: "ada", call: "POST /api/webhooks/", body: `{"url":"https://127.0.0.1/hook","events":["*"],"organization":{acme}}`, code: 400,
			want: fieldFailure("url", "127.0.0.1 is not on the public internet, and private addresses are not allowed.")},
		{rule: "an event that there is not is 400 (ours)", as: "ada", call: "POST /api/webhooks/", body: `{"url":"https://example.com/hook","events":["variable.read"],"organization":{acme}}`, code: 400,
			want: fieldFailure("events", `"variable.read" is not a valid choice.`)},
		{rule: "editors and viewers may not know of them (ours)", as: "eve", call: "GET /api/webhooks/webhook_1/", code: 403, want: isForbidden},
		{rule: "a list of all is empty for them (ours)", as: "vic", call: "GET /api/webhooks/", code: 200, want: `{"count":0,"next":null,"previous":null,"results":[]}`},
		{rule: "who is no member gets 404 (ours)", as: "sam", call: "GET /api/webhooks/webhook_1/", code: 404, want: isNotFound},
		{rule: "DELETE /api/webhooks/{id}/ 204 without a body (ours)", as: "ada", call: "DELETE /api/webhooks/webhook_1/", code: 204},
	}}}
}
