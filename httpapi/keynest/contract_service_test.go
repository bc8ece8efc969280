package keynest

// Section 11 of the contract, what comes later: service tokens.

func serviceTokens() []section {
	const (
		list   = "GET /api/service-tokens/"
		create = "POST /api/service-tokens/"
		fields = `"id":"*","name":"ci","organization":{acme},"project":null,"environment":{production},"read_only":true,"created_at":"*",
			"created_by":{ada},"created_by_name":"Ada Lovelace","expires_at":"*","allowed_networks":["127.0.0.0/8","::1/128"],
			"last_used_at":null,"is_active":true`
		cannot = "Service tokens cannot do this."
	)
	refused := func(text string) string { return failure("PERMISSION_DENIED", text, "null") }
	return []section{{title: "11 Service tokens", lines: []line{
		{rule: "made with a scope, an expiry and an allow-list, shown once (ours)", as: "ada", call: create,
			body: `{"name":"ci","environment":{production},"expires_in":"1d","allowed_networks":["127.0.0.1/8","::1"]}`,
			code: 201, want: `{` + fields + `,"token":"*"}`, keep: "token"},
		{rule: "read-only unless said otherwise (ours)", as: "ada", call: create, body: `{"name":"rw","project":{web},"read_only":false}`,
			code: 201, want: `{"id":"*","name":"rw","organization":{acme},"project":{web},"environment":null,"read_only":false,"created_at":"*","created_by":{ada},
				"created_by_name":"Ada Lovelace","expires_at":null,"allowed_networks":[],"last_used_at":null,"is_active":true,"token":"*"}`},
		{rule: "one scope (ours)", as: "ada", call: create, body: `{"name":"ci","environment":{production},"project":{web}}`,
			code: 400, want: fieldFailure(nonField, "Exactly one of project and environment must be given.")},
		{rule: "a foreign scope is as good as none (ours)", as: "ada", call: create, body: `{"name":"ci","environment":{lab}}`,
			code: 400, want: fieldFailure("environment", `Invalid pk "2" - object does not exist.`)},
		{rule: "made by those who write (ours)", as: "vic", call: create, body: `{"name":"ci","environment":{production}}`, code: 403, want: isForbidden},
		{rule: "listed without their texts (ours)", as: "ada", call: list + "?environment={production}", code: 200, want: pageOfOne(`{` + fields + `}`)},
		{rule: "an editor lists its own (ours)", as: "eve", call: list, code: 200, want: `{"count":0,"next":null,"previous":null,"results":[]}`},
		{rule: "one of them (ours)", as: "ada", call: "GET /api/service-tokens/{token}/", code: 200, want: `{` + fields + `}`},
		{rule: "another's is not there for an editor (ours)", as: "eve", call: "GET /api/service-tokens/{token}/", code: 404, want: isNotFound},
		{rule: "only the name changes (ours)", as: "ada", call: "PATCH /api/service-tokens/{token}/", body: `{"name":"deploy"}`, code: 200, want: `{"id":"*","name":"deploy","organization":"*",
			"project":null,"environment":{production},"read_only":true,"created_at":"*","created_by":{ada},"created_by_name":"*","expires_at":"*","allowed_networks":"*","last_used_at":null,"is_active":true}`},
		{rule: "nothing else does (ours)", as: "ada", call: "PATCH /api/service-tokens/{token}/", body: `{"read_only":false}`,
			code: 400, want: fieldFailure("read_only", "This cannot be changed. Make another token.")},
		{rule: "revoked (ours)", as: "ada", call: "DELETE /api/service-tokens/{token}/", code: 204},
		{rule: "a revoked one is gone (ours)", as: "ada", call: "GET /api/service-tokens/{token}/", code: 404, want: isNotFound},
	}, more: map[string]func(*walk){
		"a service token is told what it is, and no more (ours)": func(k *walk) {
			token, id := k.service(k.kept["ada token"], `{"name":"ci","project":`+k.kept["web"]+`}`)
			k.is(200, k.fill(`{"type":"service_token","id":`+id+`,"name":"ci","organization":{acme},"project":{web},"environment":null,"read_only":true,"created_at":"*",
				"created_by":{ada},"created_by_name":"Ada Lovelace","expires_at":null,"allowed_networks":[],"last_used_at":"*","is_active":true}`), k.get(token, "/api/auth/profile/"))
			k.is(403, refused(cannot), k.get(token, "/api/organizations/"))
			k.is(200, k.fill(pageOfOne(webShown)), k.get(token, "/api/projects/"))
			k.notFound(k.get(token, "/api/projects/"+k.kept["foreign"]+"/"))
		},
	}}}
}

// service makes a service token and returns its text and its id.
func (w *world) service(as, body string) (token, id string) {
	w.t.Helper()
	var made struct {
		ID    uint64
		Token string
	}
	w.read(201, w.send(as, "POST", "/api/service-tokens/", body), &made)
	return made.Token, string(encode(made.ID))
}
