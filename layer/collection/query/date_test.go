package query

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2020":                                "2020-01-01T00:00:00Z",
		"2020-03":                             "2020-03-01T00:00:00Z",
		"2020-02-29":                          "2020-02-29T00:00:00Z",
		"2020-01-31T10:20":                    "2020-01-31T10:20:00Z",
		"2020-01-31 10:20:30":                 "2020-01-31T10:20:30Z",
		"2020-01-31T10:20:30.5":               "2020-01-31T10:20:30.5Z",
		"2020-01-31T10:20:30,25Z":             "2020-01-31T10:20:30.25Z",
		"2020-01-31T10:20:30.123456789Z":      "2020-01-31T10:20:30.123456789Z",
		"2020-01-31T00:20:30.123456789+01:30": "2020-01-30T22:50:30.123456789Z",
		"2020-01-31T10:20-0200":               "2020-01-31T12:20:00Z",
		"2020-01-31T10:20+02":                 "2020-01-31T08:20:00Z",
		"0000-01-01":                          "0000-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999Z":            "9999-12-31T23:59:59.999Z",
	} {
		got, ok := ParseTime(text)
		if !ok || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q reads as %v, %v, want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "soon", "202", "20200", "2020-", "2020-1", "2020-13", "2020-00-01", "2019-02-29", "2020-01-32", "2020-01-00", "2020-01-31T", "2020-01-31T10",
		"2020-01-31T24:00", "2020-01-31T10:60", "2020-01-31T10:20:60", "2020-01-31T10:20:", "2020-01-31T10:20:30.", "2020-01-31T10:20:30.1234567890", "2020-01-31T10:20Z1",
		"2020-01-31T10:20+1", "2020-01-31T10:20+01:", "2020-01-31T10:20+24:00", "2020-01-31T10:20 Z", "2020-01-31Z", "+2020-01-31", "2020/01/31", "２０２０", "-001"} {
		if got, ok := ParseTime(text); ok {
			t.Errorf("%q reads as %v, want none", text, got)
		}
	}
}

func TestParseTimeReadsWhatTheServerWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(-62167219200000, 253402300799999).Draw(t, "ms")).UTC()
		text := at.Format(TimeLayout)
		if got, ok := ParseTime(text); !ok || !got.Equal(at) {
			t.Fatalf("%s reads as %v, %v", text, got, ok)
		}
	})
}

func TestMacros(t *testing.T) {
	// noon is 2024-03-31T12:30:15.5Z; here it is given in another zone.
	now := noon.In(time.FixedZone("", -14*3600))
	for text, want := range map[string]string{
		"$now":                              "2024-03-31T12:30:15.5Z",
		"$currentDate":                      "2024-03-31T00:00:00Z",
		"$currentMonth":                     "2024-03-01T00:00:00Z",
		"$currentYear":                      "2024-01-01T00:00:00Z",
		"$moment":                           "2024-03-31T12:30:15.5Z",
		"$moment.subtract.30.days":          "2024-03-01T12:30:15.5Z",
		"$moment.add.2.months":              "2024-05-31T12:30:15.5Z",
		"$moment.subtract.1.months":         "2024-02-29T12:30:15.5Z",
		"$moment.add.1.month":               "2024-04-30T12:30:15.5Z",
		"$moment.subtract.1.years":          "2023-03-31T12:30:15.5Z",
		"$moment.add.2.weeks":               "2024-04-14T12:30:15.5Z",
		"$moment.add.36.hours":              "2024-04-02T00:30:15.5Z",
		"$moment.add.-90.minutes":           "2024-03-31T11:00:15.5Z",
		"$moment.subtract.15.seconds":       "2024-03-31T12:30:00.5Z",
		"$moment.add.1.days.subtract.1.day": "2024-03-31T12:30:15.5Z",
	} {
		got, err := resolveDate(text, now)
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %v, %v, want %s", text, got, err, want)
		}
	}
}
