package query

import (
	"strings"
	"testing"
	"time"
)

// The wanted texts are what moment 2.31.0 prints.
func TestMomentFormats(t *testing.T) {
	tests := []struct{ time, format, want string }{
		{"2016-03-06T21:05:09.007Z", "YYYY-MM-DD HH:mm:ss.SSS", "2016-03-06 21:05:09.007"},
		{"2016-03-06T21:05:09.007Z", "MMM", "Mar"},
		{"2016-03-06T21:05:09.007Z", "M Mo MM MMM MMMM", "3 3rd 03 Mar March"},
		{"2016-03-06T21:05:09.007Z", "Q Qo D Do DD DDD DDDo DDDD", "1 1st 6 6th 06 66 66th 066"},
		{"2016-03-06T21:05:09.007Z", "d do dd ddd dddd e E", "0 0th Su Sun Sunday 0 7"},
		{"2016-03-06T21:05:09.007Z", "w wo ww W Wo WW", "11 11th 11 9 9th 09"},
		{"2016-03-06T21:05:09.007Z", "YY YYYY Y YYYYY YYYYYY", "16 2016 2016 02016 +002016"},
		{"2016-03-06T21:05:09.007Z", "gg gggg ggggg GG GGGG GGGGG", "16 2016 02016 16 2016 02016"},
		{"2016-03-06T21:05:09.007Z", "h hh H HH k kk m mm s ss a A", "9 09 21 21 21 21 5 05 9 09 pm PM"},
		{"2016-03-06T21:05:09.007Z", "S SS SSS SSSS SSSSSSSSS", "0 00 007 0070 007000000"},
		{"2016-03-06T21:05:09.007Z", "X x Z ZZ z", "1457298309 1457298309007 +00:00 +0000 UTC"},
		{"2016-03-06T21:05:09.007Z", "hmm hmmss Hmm Hmmss", "905 90509 2105 210509"},
		{"2016-03-06T21:05:09.007Z", "LT|LTS|L|LL", "9:05 PM|9:05:09 PM|03/06/2016|March 6, 2016"},
		{"2016-03-06T21:05:09.007Z", "l|ll|lll", "3/6/2016|Mar 6, 2016|Mar 6, 2016 9:05 PM"},
		{"2016-03-06T21:05:09.007Z", "[at] H [o'clock] \\M \\LT \\d", "at 21 o'clock M LT d"},
		{"2016-03-06T21:05:09.007Z", "[[] [a]b] [", "[ a]b ["},
		{"2016-03-06T21:05:09.007Z", "N NNNN y yo", "AD Anno Domini 2016 2016th"},
		{"2016-01-01T00:00:00Z", "GGGG-[W]WW-E gggg w h k a", "2015-W53-5 2016 1 12 24 am"},
		{"2016-12-31T12:00:00Z", "gggg ww GGGG WW h k A", "2016 53 2016 52 12 12 PM"},
		{"2018-12-31T12:00:00Z", "gggg ww GGGG WW", "2019 01 2019 01"},
		{"2021-11-11T11:11:11Z", "Do Mo DDDo", "11th 11th 315th"},
		{"2021-01-22T11:11:11Z", "Do, dddd", "22nd, Friday"},
		{"2021-01-31T11:11:11Z", "größe Do", "größ0 31st"},
		{"2023-01-02T12:00:00Z", "DDD DDDo DDDD dd DD", "2 2nd 002 Mo 02"},
		{"0007-01-31T11:11:11Z", "Y YY YYYY", "0007 07 0007"},
	}
	for _, tt := range tests {
		t.Run(tt.format, func(t *testing.T) {
			at, ok := ParseTime(tt.time)
			if !ok {
				t.Fatalf("%s is no time", tt.time)
			}
			if got := string(parseMoment(tt.format).append(nil, at)); got != tt.want {
				t.Errorf("%s\n got %q\nwant %q", tt.format, got, tt.want)
			}
		})
	}
}

func FuzzMomentNeverPanicsAndKeepsPlainText(f *testing.F) {
	f.Add("YYYY-MM-DD [x", int64(1457298309007))
	f.Add(`\[LT] \\ [a]b]`, int64(-62135596800000))
	f.Fuzz(func(t *testing.T, format string, ms int64) {
		at := time.UnixMilli(ms % 253402300799000).UTC()
		parseMoment(format).append(nil, at)
		plain := strings.NewReplacer("[", "", "]", "").Replace(format)
		if got := string(parseMoment("["+plain+"]").append(nil, at)); got != plain {
			t.Errorf("[%s] prints %q", plain, got)
		}
	})
}
