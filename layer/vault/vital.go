package vault

// Vital reports whether key is that of a record without which accounts cannot be
// worked with at all: a user's row and session, the entries and heads of audit
// logs, when a service token was used, and what a Recorder asks for. They are
// small, and a login or a read of a secret writes nothing else, so who is short
// of room should refuse them last.
func Vital(key []byte) bool {
	if len(key) < 2 || key[0] != layerByte {
		return false
	}
	switch key[1] {
	case userByte, tokenByte, auditByte, headByte, serviceUsesByte, wayByte:
		return true
	}
	return false
}
