package keynest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Section 11 of the contract, what comes later: versions and rollback of
// variables, and environments as of a time.

const versionsCall = "GET /api/variables/{kept}/versions/"

// versionShown is a version of the section's variable by its admin. value is
// JSON.
func versionShown(number int, change, key, value string) string {
	return fmt.Sprintf(`{"id":{kept},"version":%d,"key":%q,"decrypted_value":%s,"created_at":"*","created_by":{ada},"created_by_name":"Ada Lovelace","change":%q,"is_current":"*"}`,
		number, key, value, change)
}

// keptShown is the section's variable.
func keptShown(version int, key, value string) string {
	return fmt.Sprintf(`{"id":{kept},"key":%q,"decrypted_value":%q,"environment":{past},"environment_name":"past","created_at":"*","updated_at":"*","created_by_name":"Ada Lovelace","version":%d}`,
		key, value, version)
}

// takenBackShown is the answer to a rollback of the environment. What was done
// is JSON.
func takenBackShown(message, restored, deleted string, counts [3]int, dry bool) string {
	return fmt.Sprintf(`{"message":%q,"restored":%s,"deleted":%s,"unknown":[],"restored_count":%d,"deleted_count":%d,"unknown_count":0,"unchanged_count":%d,"dry_run":%t}`,
		message, restored, deleted, counts[0], counts[1], counts[2], dry)
}

func versioning() []section {
	const (
		call      = "/api/variables/{kept}/"
		back      = "POST /api/variables/{kept}/rollback/"
		allBack   = "POST /api/environments/{past}/rollback/"
		then      = "GET /api/environments/{past}/variables/?at="
		isInteger = "A valid integer is required."
	)
	noVersion := failure("NOT_FOUND", "Version not found.", "null")
	noTime := fieldFailure("at", "Enter a time such as 2026-01-31T10:30:00Z, or a day such as 2026-01-31.")
	return []section{{title: "11 Versions", lines: []line{
		{rule: "what it begins with: an environment (ours)", as: "ada", call: "POST /api/environments/", body: `{"name":"past","project":{web}}`, code: 201, want: "any", keep: "past"},
		{rule: "a new variable has version 1 (ours)", as: "ada", call: "POST /api/variables/", body: `{"key":"KEPT","value":"one","environment":{past}}`, code: 201, want: keptNew, keep: "kept"},
		{rule: "a change makes the next one (ours)", as: "ada", call: "PATCH " + call, body: `{"value":"two"}`, code: 200, want: keptShown(2, "KEPT", "two")},
		{rule: "a change of nothing does not (ours)", as: "ada", call: "PATCH " + call, body: `{"value":"two","key":"KEPT"}`, code: 200, want: keptShown(2, "KEPT", "two")},
		{rule: "an import makes one (ours)", as: "ada", call: "POST /api/environments/{past}/import/", body: `{"data":"KEPT=three"}`, code: 200, want: "any"},
		{rule: "the newest is first (ours)", as: "eve", call: versionsCall, code: 200, has: []string{"Cache-Control: .*no-store.*"},
			want: `{"count":3,"next":null,"previous":null,"results":[` +
				strings.Join([]string{versionShown(3, "imported", "KEPT", `"three"`), versionShown(2, "updated", "KEPT", `"two"`), versionShown(1, "created", "KEPT", `"one"`)}, ",") + `]}`},
		{rule: "in pages (ours)", as: "eve", call: versionsCall + "?page_size=2&page=2", code: 200,
			want: `{"count":3,"next":null,"previous":"*","results":[` + versionShown(1, "created", "KEPT", `"one"`) + `]}`},
		{rule: "past the end (ours)", as: "eve", call: versionsCall + "?page=2", code: 404, want: failure("NOT_FOUND", "Invalid page.", "null")},
		{rule: "viewers see masks (ours)", as: "vic", call: versionsCall + "?page_size=1", code: 200,
			want: `{"count":3,"next":"*","previous":null,"results":[` + versionShown(3, "imported", "KEPT", `"[HIDDEN]"`) + `]}`},
		{rule: "strangers see nothing (ours)", as: "sam", call: versionsCall, code: 404, want: isNotFound},
		{rule: "one version (ours)", as: "eve", call: versionsCall + "2/", code: 200, want: versionShown(2, "updated", "KEPT", `"two"`)},
		{rule: "without the slash (ours)", as: "vic", call: "GET /api/variables/{kept}/versions/1", code: 200, want: versionShown(1, "created", "KEPT", `"[HIDDEN]"`)},
		{rule: "one that is not there (ours)", as: "eve", call: versionsCall + "4/", code: 404, want: noVersion},
		{rule: "what is no number (ours)", as: "eve", call: versionsCall + "x/", code: 404, want: isNotFound},
		{rule: "nothing below (ours)", as: "eve", call: versionsCall + "1/x/", code: 404, want: isNotFound},
		{rule: "one of a stranger (ours)", as: "sam", call: versionsCall + "1/", code: 404, want: isNotFound},
	}}, {title: "11 Changes of a certain version", lines: []line{
		{rule: "another version is a conflict (ours)", as: "eve", call: "PATCH " + call, body: `{"value":"stale","version":2}`, code: 409,
			want: `{"error":"The variable has changed.","details":null,"code":"CONFLICT","timestamp":"*","detail":"The variable has changed.","version":3}`},
		{rule: "on PUT too (ours)", as: "eve", call: "PUT " + call, body: `{"key":"KEPT","value":"stale","environment":{past},"version":"0"}`, code: 409, want: "any"},
		{rule: "rights come before it (ours)", as: "vic", call: "PATCH " + call, body: `{"value":"stale","version":2}`, code: 403, want: isForbidden},
		{rule: "the present one is not (ours)", as: "ada", call: "PATCH " + call, body: `value=four&version=3`, headers: []string{asForm}, code: 200, want: keptShown(4, "KEPT", "four")},
		{rule: "what is no version (ours)", as: "eve", call: "PATCH " + call, body: `{"value":"x","version":"v3"}`, code: 400, want: fieldFailure("version", isInteger)},
		{rule: "null is none (ours)", as: "eve", call: "PATCH " + call, body: `{"value":"x","version":null}`, code: 400, want: fieldFailure("version", "This field may not be null.")},
	}}, {title: "11 Rollback of a variable", lines: []line{
		{rule: "an old value is a new version (ours)", as: "ada", call: back, body: `{"version":1}`, code: 200, want: keptShown(5, "KEPT", "one")},
		{rule: "it is told as such (ours)", as: "eve", call: versionsCall + "5/", code: 200, want: versionShown(5, "rolled_back", "KEPT", `"one"`)},
		{rule: "to the present one (ours)", as: "ada", call: back, body: `{"version":"5"}`, code: 400, want: fieldFailure("version", "This is the current version.")},
		{rule: "to one that is not there (ours)", as: "ada", call: back, body: `{"version":6}`, code: 404, want: noVersion},
		{rule: "to one that cannot be (ours)", as: "ada", call: back, body: `{"version":99999999999999999999}`, code: 404, want: noVersion},
		{rule: "to none (ours)", as: "ada", call: back, body: `{}`, code: 400, want: fieldFailure("version", "This field is required.")},
		{rule: "not for viewers (ours)", as: "vic", call: back, body: `{"version":1}`, code: 403, want: isForbidden},
		{rule: "not for viewers, whatever else is wrong (ours)", as: "vic", call: back, body: `{}`, code: 403, want: isForbidden},
		{rule: "not for strangers (ours)", as: "sam", call: back, body: `{"version":1}`, code: 404, want: isNotFound},
		{rule: "it is in the audit log (ours)", as: "ada", call: "GET /api/audit-logs/?action=variable_rolled_back", code: 200,
			want: pageOfOne(`{"id":"*","user_name":"Ada Lovelace","user_email":"ada@example.com","action":"variable_rolled_back","target_type":"variable","target_id":{kept},` +
				`"details":{"variable_key":"KEPT","environment_name":"past","key":"KEPT","environment":"past","project":"*","version":1},"ip_address":"*","timestamp":"*"}`)},
	}}, {title: "11 An environment as of a time", lines: []line{
		{rule: "what is no time (ours)", as: "eve", call: then + "yesterday", code: 400, want: noTime},
		{rule: "an empty time (ours)", as: "eve", call: then, code: 400, want: noTime},
		{rule: "a time to come (ours)", as: "eve", call: then + "2099-01-01", code: 400, want: fieldFailure("at", "This time is in the future.")},
		{rule: "strangers are told nothing (ours)", as: "sam", call: then + "yesterday", code: 404, want: isNotFound},
		{rule: "before everything (ours)", as: "eve", call: then + "2023-11-13", code: 200, want: `{"count":0,"next":null,"previous":null,"unknown":[],"results":[]}`},
		{rule: "references are not resolved (ours)", as: "eve", call: then + "2023-11-13&resolve=true", code: 400,
			want: fieldFailure("resolve", "References cannot be resolved as of a time.")},
	}, more: map[string]func(*walk){
		"an environment is shown, and taken back to, as it was (ours)": environmentTakenBack,
	}}, {title: "11 Rollback of an environment", lines: []line{
		{rule: "to no time (ours)", as: "eve", call: allBack, body: `{}`, code: 400, want: fieldFailure("at", "This field is required.")},
		{rule: "to what is no time (ours)", as: "eve", call: allBack, body: `{"at":"yesterday"}`, code: 400, want: noTime},
		{rule: "to a time to come (ours)", as: "eve", call: allBack, body: `{"at":"2099-01-01"}`, code: 400, want: fieldFailure("at", "This time is in the future.")},
		{rule: "a dry run that is none (ours)", as: "eve", call: allBack, body: `{"at":"2023-11-13","dry_run":"perhaps"}`, code: 400, want: fieldFailure("dry_run", "Must be a valid boolean.")},
		{rule: "no keys (ours)", as: "eve", call: allBack, body: `{"at":"2023-11-13","keys":[]}`, code: 400, want: fieldFailure("keys", "This list may not be empty.")},
		{rule: "nor in a form: that does not mean all (ours)", as: "eve", call: allBack, body: `at=2023-11-13&keys=`, headers: []string{asForm}, code: 400, want: fieldFailure("keys", "This list may not be empty.")},
		{rule: "not for viewers (ours)", as: "vic", call: allBack, body: `{"at":"yesterday"}`, code: 403, want: isForbidden},
		{rule: "nor a dry run of it (ours)", as: "vic", call: allBack, body: `{"at":"2023-11-13","dry_run":true}`, code: 403, want: isForbidden},
		{rule: "not for strangers (ours)", as: "sam", call: allBack, body: `{"at":"2023-11-13"}`, code: 404, want: isNotFound},
		{rule: "a key that is nowhere is 400 (ours)", as: "eve", call: allBack, body: `{"at":"2023-11-13","keys":["KEPT","NONE"]}`, code: 400, want: fieldFailure("keys", `There is no variable "NONE".`)},
		{rule: "what was made since is deleted (ours)", as: "eve", call: allBack, body: `{"at":"2023-11-13","keys":["KEPT"]}`, code: 200,
			want: takenBackShown("Environment rolled back successfully", `[]`, `["KEPT"]`, [3]int{0, 1, 0}, false)},
		{rule: "its versions are not for anybody then (ours)", as: "ada", call: versionsCall, code: 404, want: isNotFound},
	}}}
}

const keptNew = `{"id":"*","key":"KEPT","decrypted_value":"one","environment":{past},"environment_name":"past","created_at":"*","updated_at":"*","created_by_name":"Ada Lovelace","version":1}`

// environmentTakenBack is a change of everything, and the way back, in a world
// where the clock may be turned.
func environmentTakenBack(k *walk) {
	var t *testing.T
	if t, _ = k.t.(*testing.T); t == nil {
		k.t.Fatal("the contract is no test")
	}
	k = newWalk(t)
	for _, l := range []line{
		{as: "ada", call: "POST /api/environments/", body: `{"name":"past","project":{web}}`, code: 201, want: "any", keep: "past"},
		{as: "ada", call: "POST /api/variables/", body: `{"key":"KEPT","value":"one","environment":{past}}`, code: 201, want: keptNew, keep: "kept"},
	} {
		k.check(l)
	}
	at := func() string { return time.UnixMilli(k.store.Now()).UTC().Format(time.RFC3339) }
	began := at()
	was := `{"count":1,"next":null,"previous":null,"unknown":[],"results":[` + keptShown(1, "KEPT", "one") + `]}`
	k.store.Advance(time.Second)
	steps := []line{
		{as: "ada", call: "PATCH /api/variables/{kept}/", body: `{"key":"RENAMED","value":"other"}`, code: 200, want: keptShown(2, "RENAMED", "other")},
		{as: "eve", call: "POST /api/variables/", body: `{"key":"LATER","value":"new","environment":{past}}`, code: 201, want: "any", keep: "later"},
		{as: "eve", call: "GET /api/environments/{past}/variables/?at=" + began, code: 200, want: was},
		{as: "vic", call: "GET /api/environments/{past}/variables/?at=" + began + "&page_size=1", code: 200, want: strings.Replace(was, `"one"`, `"[HIDDEN]"`, 1)},
		{as: "eve", call: "DELETE /api/variables/{kept}/", code: 204},
		{as: "eve", call: "GET /api/environments/{past}/variables/?at=" + began, code: 200, want: was},
		{as: "eve", call: "POST /api/environments/{past}/rollback/", body: `{"at":"` + began + `","dry_run":"true"}`, code: 200,
			want: takenBackShown("Nothing was changed", `["KEPT"]`, `["LATER"]`, [3]int{1, 1, 0}, true)},
		{as: "eve", call: "GET /api/environments/{past}/variables/", code: 200, want: `{"count":1,"next":null,"previous":null,"results":"*"}`},
	}
	for range 2 { // with the same key it is done once, and answered twice
		steps = append(steps, line{
			as: "eve", call: "POST /api/environments/{past}/rollback/", body: `{"at":"` + began + `"}`, code: 200,
			headers: []string{"Idempotency-Key: back-to-what-it-was"},
			want:    takenBackShown("Environment rolled back successfully", `["KEPT"]`, `["LATER"]`, [3]int{1, 1, 0}, false),
		})
	}
	steps = append(steps,
		line{as: "ada", call: "GET /api/variables/{kept}/", code: 200, want: keptShown(4, "KEPT", "one")},
		line{as: "ada", call: "GET /api/variables/{later}/", code: 404, want: isNotFound},
		line{as: "ada", call: "GET /api/environments/{past}/", code: 200,
			want: `{"id":{past},"name":"past","project":{web},"project_name":"*","environment_type":"development","description":null,"created_at":"*","updated_at":"*","created_by_name":"*","variable_count":1,"max_versions":10}`},
		line{as: "ada", call: "GET /api/variables/{kept}/versions/3/", code: 200,
			want: `{"id":{kept},"version":3,"key":"RENAMED","decrypted_value":null,"created_at":"*","created_by":{eve},"created_by_name":"","change":"deleted","is_current":false}`},
		line{as: "ada", call: "GET /api/audit-logs/?action=environment_rolled_back", code: 200,
			want: pageOfOne(`{"id":"*","user_name":"eve","user_email":"eve@example.com","action":"environment_rolled_back","target_type":"environment","target_id":{past},` +
				`"details":{"at":"` + began + `","restored_count":1,"deleted_count":1,"unknown_count":0,"environment":"past","project":"*"},"ip_address":"*","timestamp":"*"}`)},
	)
	for _, l := range steps {
		k.check(l)
	}
}
