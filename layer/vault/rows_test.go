package vault

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGoldenRows(t *testing.T) {
	file, err := os.ReadFile("testdata/rows1.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(file)) {
		if name, text, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			rows[name] = text
		}
	}
	golden(t, rows["organization"], organizationRow{
		Name: "Acme", Description: ptr("d"), Created: 1, Updated: 2, UID: []byte{1}, Keys: []dataKey{{ID: 1, Wrapped: []byte{2}}},
	})
	golden(t, rows["membership"], membershipRow{Role: Editor, Joined: 3})
	golden(t, rows["project"], projectRow{Organization: 1, Name: "Web", Description: ptr("d"), Created: 1, Updated: 2, Creator: 3})
	golden(t, rows["environment"], environmentRow{
		Project: 1, Name: "live", Type: "production", Description: ptr("d"), Created: 1, Updated: 2, Creator: 3, UID: []byte{1},
	})
}

// golden compares a row with how it is stored, both ways.
func golden[T any](t *testing.T, text string, row T) {
	t.Helper()
	if diff := cmp.Diff(text, string(encode(row))); diff != "" {
		t.Errorf("%T is stored otherwise (-want +got):\n%s", row, diff)
	}
	read, err := decode[T]([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(row, *read); diff != "" {
		t.Errorf("%T reads otherwise (-want +got):\n%s", row, diff)
	}
}
