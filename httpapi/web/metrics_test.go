package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// timesByClass is how many times reg has, by class.
func timesByClass(t *testing.T, reg *prometheus.Registry) map[string]uint64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]uint64)
	for _, f := range families {
		if f.GetName() != "covey_http_request_seconds" {
			continue
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "class" {
					found[l.GetValue()] = m.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	return found
}

func TestTimesAreToldApartByClass(t *testing.T) {
	for name, tt := range map[string]struct {
		api, method string
		shows       bool // the answer says which state it shows
		want        map[string]uint64
	}{
		"GET":                       {"kvdb", "GET", true, map[string]uint64{"read": 1, "write": 0}},
		"HEAD":                      {"kvdb", "HEAD", false, map[string]uint64{"read": 1, "write": 0}},
		"OPTIONS":                   {"kvdb", "OPTIONS", false, map[string]uint64{"read": 1, "write": 0}},
		"PUT":                       {"kvdb", "PUT", false, map[string]uint64{"read": 0, "write": 1}},
		"a query sent as POST":      {"restdb", "POST", true, map[string]uint64{"read": 1, "write": 0}},
		"a POST that writes":        {"restdb", "POST", false, map[string]uint64{"read": 0, "write": 1}},
		"a method nobody has named": {"restdb", "BREW", false, map[string]uint64{"read": 0, "write": 1}},
		"the operator reads":        {"admin", "GET", true, map[string]uint64{"admin": 1}},
		"the operator writes":       {"admin", "POST", false, map[string]uint64{"admin": 1}},
		"monitoring":                {"metrics", "GET", false, map[string]uint64{"admin": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			api := &API{Name: tt.api, Answer: plain, Metrics: NewMetrics(reg), Log: slog.New(slog.DiscardHandler)}
			h := api.Handler(func(w http.ResponseWriter, r *http.Request) error {
				if tt.shows {
					SetRead(w.Header(), 7, false, 0)
				}
				return Send(w, r, http.StatusOK, []byte("x"))
			})
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(tt.method, "/", nil))
			if got := timesByClass(t, reg); !cmp.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCountingARequestAllocatesNothing(t *testing.T) {
	s := NewMetrics(prometheus.NewRegistry()).series("restdb")
	reads := &response{ResponseWriter: httptest.NewRecorder(), status: http.StatusOK}
	SetRead(reads.Header(), 7, false, 0)
	writes := &response{ResponseWriter: httptest.NewRecorder(), status: http.StatusCreated}
	count := func() {
		for _, w := range []*response{reads, writes} {
			s.begin()
			s.end(http.MethodPost, w, time.Millisecond)
		}
	}
	count() // the series of these codes are made once
	if n := testing.AllocsPerRun(1000, count); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
