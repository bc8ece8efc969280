package kot

// serveInformations answers with the settings that clients ask for when they
// begin, in the real server's spelling. Lengths are not limited by endpoint
// but by layer/database, for all alike.
func (q *request) serveInformations() error {
	b := append([]byte(nil), `{"database_name_lenght":null,"key_lenght":null,"rate_limit":`...)
	b = appendTexts(b, q.RateLimit.Items)
	b = append(b, `,"restricted":`...)
	b = appendTexts(b, q.Restricted)
	return q.json(append(b, `,"value_lenght":null}`...))
}

// appendTexts appends texts as a JSON array.
func appendTexts(dst []byte, texts []string) []byte {
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, text)
	}
	return append(dst, ']')
}
