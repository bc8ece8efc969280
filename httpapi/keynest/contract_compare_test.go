package keynest

import (
	"fmt"
	"strings"
)

// Section 11 of the contract, what comes later: references, and environments
// that are compared, copied and promoted.

const (
	diffCall    = "GET /api/environments/{next}/diff/"
	copyCall    = "POST /api/environments/{next}/copy/"
	promoteCall = "POST /api/environments/{next}/promote/"
)

// copiedShown is the answer to a copy. created, updated and deleted are JSON.
func copiedShown(message, created, updated, deleted string, counts [4]int, dry bool) string {
	return fmt.Sprintf(`{"message":%q,"created":%s,"updated":%s,"deleted":%s,"created_count":%d,"updated_count":%d,"deleted_count":%d,"unchanged_count":%d,"dry_run":%t}`,
		message, created, updated, deleted, counts[0], counts[1], counts[2], counts[3], dry)
}

func comparing() []section {
	const (
		copiedText   = "Variables copied successfully"
		promotedText = "Variables promoted successfully"
		nothingText  = "Nothing was changed"
		conflict     = `{"error":"Conflicting variables found","details":null,"code":"CONFLICT","timestamp":"*","detail":"Conflicting variables found","conflicts":["ONE"],"message":"Set overwrite=true to replace existing variables"}`
	)
	noBoolean := func(field string) string { return fieldFailure(field, "Must be a valid boolean.") }
	noPermission := func(text string) string { return failure("PERMISSION_DENIED", text, "null") }
	return []section{{title: "11 Compare, copy, promote", lines: []line{
		{rule: "what it begins with: an environment (ours)", as: "ada", call: "POST /api/environments/", body: `{"name":"next","project":{web}}`, code: 201, want: "any", keep: "next"},
		{rule: "what it begins with: another one (ours)", as: "ada", call: "POST /api/environments/", body: `{"name":"now","project":{web}}`, code: 201, want: "any", keep: "now"},
		{rule: "what it begins with: its variables (ours)", as: "ada", call: "POST /api/environments/{next}/import/", body: `{"data":"ONE=1\nTWO=2\nSAME=s"}`, code: 200, want: "any"},
		{rule: "what it begins with: those of the other (ours)", as: "ada", call: "POST /api/environments/{now}/import/", body: `{"data":"ONE=one\nSAME=s\nOLD=o"}`, code: 200, want: "any"},

		{rule: "diff tells keys (ours)", as: "eve", call: diffCall + "?with={now}", code: 200, has: []string{"Cache-Control: .*no-store.*"},
			want: `{"environment":{next},"with":{now},"added":[{"key":"OLD"}],"removed":[{"key":"TWO"}],"changed":[{"key":"ONE"}],"unchanged_count":1}`},
		{rule: "diff tells values that differ if asked (ours)", as: "eve", call: diffCall + "?with={now}&values=true", code: 200,
			want: `{"environment":{next},"with":{now},"added":[{"key":"OLD","value":"o"}],"removed":[{"key":"TWO","value":"2"}],"changed":[{"key":"ONE","value":"1","with_value":"one"}],"unchanged_count":1}`},
		{rule: "diff with itself (ours)", as: "eve", call: diffCall + "?with={next}&values=1", code: 200,
			want: `{"environment":{next},"with":{next},"added":[],"removed":[],"changed":[],"unchanged_count":3}`},
		{rule: "diff with nothing (ours)", as: "eve", call: diffCall, code: 400, want: fieldFailure("with", "This field is required.")},
		{rule: "diff with no id (ours)", as: "eve", call: diffCall + "?with=x", code: 400, want: fieldFailure("with", "A valid integer is required.")},
		{rule: "diff with what is neither yes nor no (ours)", as: "eve", call: diffCall + "?with={now}&values=maybe", code: 400, want: noBoolean("values")},
		{rule: "diff is for those who may read values (ours)", as: "vic", call: diffCall + "?with={now}", code: 403, want: isForbidden},
		{rule: "that comes before what is wrong (ours)", as: "vic", call: diffCall, code: 403, want: isForbidden},
		{rule: "diff is not for strangers (ours)", as: "sam", call: diffCall + "?with={lab}", code: 404, want: isNotFound},
		{rule: "diff with a foreign environment (ours)", as: "ada", call: diffCall + "?with={lab}", code: 404, want: isNotFound},

		{rule: "copy does not overwrite (ours)", as: "eve", call: copyCall, body: `{"to":{now}}`, code: 409, want: conflict},
		{rule: "nor does a dry run say that it would (ours)", as: "eve", call: copyCall, body: `{"to":{now},"dry_run":true}`, code: 409, want: conflict},
		{rule: "a dry run changes nothing (ours)", as: "eve", call: copyCall, body: `{"to":"{now}","overwrite":true,"dry_run":"yes"}`, code: 200,
			want: copiedShown(nothingText, `["TWO"]`, `["ONE"]`, `[]`, [4]int{1, 1, 0, 1}, true)},
		{rule: "copy of some keys (ours)", as: "eve", call: copyCall, body: `{"to":{now},"keys":["TWO"]}`, code: 200, want: copiedShown(copiedText, `["TWO"]`, `[]`, `[]`, [4]int{1, 0, 0, 0}, false)},
		{rule: "again it has nothing to do (ours)", as: "eve", call: copyCall, body: `to={now}&keys=TWO,SAME`, headers: []string{asForm}, code: 200,
			want: copiedShown(copiedText, `[]`, `[]`, `[]`, [4]int{0, 0, 0, 2}, false)},
		{rule: "promote overwrites and leaves the rest (ours)", as: "eve", call: promoteCall, body: `{"to":{now}}`, code: 200, want: copiedShown(promotedText, `[]`, `["ONE"]`, `[]`, [4]int{0, 1, 0, 2}, false)},
		{rule: "promote removes what is missing if asked (ours)", as: "eve", call: promoteCall, body: `{"to":{now},"remove_missing":true}`, code: 200,
			want: copiedShown(promotedText, `[]`, `[]`, `["OLD"]`, [4]int{0, 0, 1, 3}, false)},
		{rule: "then both are the same (ours)", as: "eve", call: diffCall + "?with={now}", code: 200,
			want: `{"environment":{next},"with":{now},"added":[],"removed":[],"changed":[],"unchanged_count":3}`},
		{rule: "an unknown key (ours)", as: "eve", call: copyCall, body: `{"to":{now},"keys":["TWO","THREE"]}`, code: 400, want: fieldFailure("keys", `There is no variable "THREE".`)},
		{rule: "no keys are not all keys (ours)", as: "eve", call: promoteCall, body: `{"to":{now},"keys":[]}`, code: 400, want: fieldFailure("keys", "This list may not be empty.")},
		{rule: "nor are they in a form (ours)", as: "eve", call: promoteCall, body: `to={now}&keys=`, headers: []string{asForm}, code: 400, want: fieldFailure("keys", "This list may not be empty.")},
		{rule: "keys that are no texts (ours)", as: "eve", call: copyCall, body: `{"to":{now},"keys":[1]}`, code: 400, want: fieldFailure("keys", "Not a valid string.")},
		{rule: "a dry run that is neither yes nor no (ours)", as: "eve", call: promoteCall, body: `{"to":{now},"dry_run":"ture"}`, code: 400, want: noBoolean("dry_run")},
		{rule: "overwrite that is neither (ours)", as: "eve", call: copyCall, body: `{"to":{now},"overwrite":"sure"}`, code: 400, want: noBoolean("overwrite")},
		{rule: "nowhere to go (ours)", as: "eve", call: promoteCall, body: `{}`, code: 400, want: fieldFailure("to", "This field is required.")},
		{rule: "to itself (ours)", as: "eve", call: promoteCall, body: `{"to":{next}}`, code: 400, want: fieldFailure("to", "This is the environment itself.")},
		{rule: "to a foreign environment (ours)", as: "eve", call: promoteCall, body: `{"to":{lab}}`, code: 400, want: fieldFailure("to", `Invalid pk "2" - object does not exist.`)},
		{rule: "from a foreign environment (ours)", as: "eve", call: "POST /api/environments/{lab}/promote/", body: `{"to":{now}}`, code: 404, want: isNotFound},
		{rule: "copies are for those who write (ours)", as: "vic", call: copyCall, body: `{"to":{now}}`, code: 403, want: isForbidden},
		{rule: "so are promotions (ours)", as: "vic", call: promoteCall, body: `{"to":{now},"dry_run":true}`, code: 403, want: isForbidden},
		{rule: "sam has an organization where eve views (ours)", as: "sam", call: "POST /api/organizations/{sams}/invite_member/", body: `{"email":"eve@example.com"}`, code: 201, want: "any"},
		{rule: "to where the caller views only (ours)", as: "eve", call: promoteCall, body: `{"to":{lab}}`, code: 403, want: noPermission("You don't have permission to import to this environment.")},
		{rule: "from there (ours)", as: "eve", call: "POST /api/environments/{lab}/copy/", body: `{"to":{now}}`, code: 403, want: isForbidden},
		{rule: "nothing has come there (ours)", as: "sam", call: "GET /api/variables/?environment={lab}&key=SAME", code: 200, want: `{"count":0,"next":null,"previous":null,"results":[]}`},
		{rule: "and she leaves (ours)", as: "sam", call: "DELETE /api/organizations/{sams}/remove_member/", body: `{"user_id":{eve}}`, code: 200, want: "any"},
		{rule: "the source is told that it was read, the target what was done (ours)", as: "ada", call: "GET /api/audit-logs/?action=environment_promoted&page_size=1", code: 200,
			want: `{"count":2,"next":"*","previous":null,"results":[{"id":"*","user_name":"eve","user_email":"eve@example.com","action":"environment_promoted","target_type":"environment","target_id":{now},
				"details":{"created_count":0,"deleted_count":1,"environment":"now","project":"Web Application","remove_missing":true,"source_environment":"next","source_environment_id":{next},
				"source_project":"Web Application","unchanged_count":3,"updated_count":0},"ip_address":"*","timestamp":"*"}]}`},
		{rule: "a promotion is a version (ours)", as: "ada", call: "GET /api/variables/?environment={now}&key=ONE", code: 200,
			want: pageOfOne(`{"id":"*","key":"ONE","decrypted_value":"1","environment":{now},"environment_name":"now","created_at":"*","updated_at":"*","created_by_name":"*","version":2}`)},
	}}, references11()}
}

func references11() section {
	shown := func(key, value, more string) string {
		return fmt.Sprintf(`{"id":"*","key":%q,"decrypted_value":%q,"environment":{now},"environment_name":"now","created_at":"*","updated_at":"*","created_by_name":"","version":1%s}`, key, value, more)
	}
	const exported = "GET /api/environments/{now}/export/?format=json"
	unresolvable := `{"error":"Some references cannot be resolved","details":null,"code":"VALIDATION_ERROR","timestamp":"*","detail":"Some references cannot be resolved","references":{"LOOP":"cycle"}}`
	return section{title: "11 References", lines: []line{
		{rule: "in an environment and between two (ours)", as: "eve", call: "POST /api/variables/", body: `{"key":"REF","value":"<${ONE}|${next.TWO}|$${ONE}>","environment":{now}}`, code: 201,
			want: shown("REF", "<${ONE}|${next.TWO}|$${ONE}>", ""), keep: "ref"},
		{rule: "they stay as they are (ours)", as: "eve", call: "GET /api/variables/{ref}/", code: 200, want: shown("REF", "<${ONE}|${next.TWO}|$${ONE}>", "")},
		{rule: "unless they are to be resolved (ours)", as: "eve", call: "GET /api/variables/{ref}/?resolve=true", code: 200, want: shown("REF", "<1|2|${ONE}>", "")},
		{rule: "also in a list (ours)", as: "eve", call: "GET /api/variables/?environment={now}&key=REF&resolve=1", code: 200, want: pageOfOne(shown("REF", "<1|2|${ONE}>", ""))},
		{rule: "also in an environment (ours)", as: "eve", call: "GET /api/environments/{now}/variables/?resolve=true&page_size=1&page=last", code: 200,
			want: `{"count":4,"next":null,"previous":"{url}/api/environments/{now}/variables/?resolve=true&page_size=1&page=3","results":[` + shown("REF", "<1|2|${ONE}>", "") + `]}`},
		{rule: "also in a file (ours)", as: "eve", call: exported + "&resolve=true", code: 200, want: "= {\n  \"ONE\": \"1\",\n  \"SAME\": \"s\",\n  \"TWO\": \"2\",\n  \"REF\": \"<1|2|${ONE}>\"\n}\n"},
		{rule: "a file is as it was without (ours)", as: "eve", call: exported, code: 200, want: "= {\n  \"ONE\": \"1\",\n  \"SAME\": \"s\",\n  \"TWO\": \"2\",\n  \"REF\": \"<${ONE}|${next.TWO}|$${ONE}>\"\n}\n"},
		{rule: "a circle (ours)", as: "eve", call: "POST /api/variables/", body: `{"key":"LOOP","value":"${now.LOOP}","environment":{now}}`, code: 201, want: "any", keep: "loop"},
		{rule: "is shown as such (ours)", as: "eve", call: "GET /api/variables/{loop}/?resolve=true", code: 200, want: shown("LOOP", "[UNRESOLVED]", `,"unresolved":"cycle"`)},
		{rule: "and is in no file (ours)", as: "eve", call: exported + "&resolve=true", code: 400, want: unresolvable},
		{rule: "viewers see what they see without (ours)", as: "vic", call: "GET /api/variables/{ref}/?resolve=true", code: 200, want: shown("REF", "[HIDDEN]", "")},
		{rule: "and export nothing (ours)", as: "vic", call: exported + "&resolve=true", code: 403, want: failure("PERMISSION_DENIED", "You don't have permission to export this environment.", "null")},
		{rule: "what is neither yes nor no (ours)", as: "eve", call: exported + "&resolve=maybe", code: 400, want: fieldFailure("resolve", "Must be a valid boolean.")},
		{rule: "nor in a list (ours)", as: "eve", call: "GET /api/variables/?resolve=maybe", code: 400, want: fieldFailure("resolve", "Must be a valid boolean.")},
	}, more: map[string]func(*walk){
		"what is read for them is recorded (ours)": func(k *walk) {
			a := k.get(k.kept["ada token"], "/api/audit-logs/?action=environment_viewed&page_size=100")
			want := k.fill(`"target_id":{next},"details":{"environment":"next","project":"Web Application","variable_count":1}`)
			if !strings.Contains(a.body, want) {
				k.t.Errorf("no %s in %.2000s", want, a.body)
			}
		},
	}}
}
