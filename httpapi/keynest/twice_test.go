package keynest

import "testing"

// A command may go through the log twice when a leader falls before it has
// answered. Nobody has repeated the request, so its answer is that of any other.
func TestACommandThatCameTwiceIsAnsweredAsOne(t *testing.T) {
	w := newShared(t)
	w.register("kim")
	for _, tt := range []struct {
		name, method, path, body string
		code                     int
	}{
		{"a creation", "POST", "/api/variables/", `{"key":"KEY","value":"v","environment":1}`, 201},
		{"a change", "PATCH", "/api/variables/1/", `{"value":"w"}`, 200},
		{"an import", "POST", "/api/environments/1/import/", `{"data":"A=1\nB=2"}`, 200},
		{"an invitation", "POST", "/api/organizations/1/invite_member/", `{"email":"kim@example.com"}`, 201},
		{"a change of profile", "PATCH", "/api/auth/profile/", `{"first_name":"Ann"}`, 200},
		{"a deletion", "DELETE", "/api/variables/1/", "", 204},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			w.store.RepeatNext(1)
			a := w.send(w.ann, tt.method, tt.path, tt.body)
			if a.code != tt.code || a.header.Get("Covey-Replayed") != "" {
				t.Errorf("%d %s, replayed %q; want %d", a.code, a.body, a.header.Get("Covey-Replayed"), tt.code)
			}
		})
	}
}

// Who changes a key alone is shown the value that is there.
func TestAValueThatAChangeShowsIsRecorded(t *testing.T) {
	w := newShared(t)
	w.variable(w.ann, 1, "KEY", "s3cret")
	for _, tt := range []struct{ method, body, want string }{
		{"PATCH", `{"value":"other"}`, "variable_updated"},
		{"PATCH", `{"key":"NEW"}`, "variable_viewed,variable_updated"},
		{"PATCH", `{}`, "variable_viewed,variable_updated"},
		{"PUT", `{"key":"NEW","environment":1}`, "variable_viewed,variable_updated"},
	} {
		const entries = "/api/audit-logs/?target_type=variable&page_size=100"
		before := w.names("action", w.get(w.ann, entries))
		w.send(w.eve, tt.method, "/api/variables/1/", tt.body)
		if got := w.names("action", w.get(w.ann, entries)); got != tt.want+","+before {
			t.Errorf("%s %s added to %s: %s, want %s", tt.method, tt.body, before, got, tt.want)
		}
	}
}
