package vault

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLifetimes(t *testing.T) {
	for text, want := range map[string]int64{"90m": 5400, "12h": 43200, "30d": 2592000, "1y": 31536000, "001d": 86400} {
		if got, ok := parseLifetime(text); !ok || got != want {
			t.Errorf("%s is %d seconds, %t; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "d", "0d", "-1d", "+1d", "1.5d", "1 d", "1D", "1w", "1s", "30", "1d1h", "1000000000y", "٣d"} {
		if got, ok := parseLifetime(text); ok {
			t.Errorf("%q is a lifetime of %d seconds", text, got)
		}
	}
}

func TestNetworks(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8": "10.0.0.0/8", "192.0.2.1": "192.0.2.1/32", "0.0.0.0/0": "0.0.0.0/0",
		"2001:db8::/32": "2001:db8::/32", "2001:DB8::1": "2001:db8::1/128", "::/0": "::/0",
		"::ffff:192.0.2.1": "192.0.2.1/32", "::ffff:10.0.0.0/104": "10.0.0.0/8",
	} {
		if got, ok := parseNetwork(text); !ok || got.String() != want {
			t.Errorf("%s is %v, %t; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0/8", "010.0.0.1", "10.0.0.0/08", "fe80::1%eth0", "fe80::%eth0/64",
		"::ffff:10.0.0.0/80", "host", "10.0.0.1:80", strings.Repeat("0", 100)} {
		if got, ok := parseNetwork(text); ok {
			t.Errorf("%q is the network %v", text, got)
		}
	}
	f := FieldErrors{}
	got := parseNetworks(f, []string{" 10.1.0.0/8", "::1", "10.0.0.0/8"})
	if diff := cmp.Diff([]string{"10.0.0.0/8", "::1/128"}, got); diff != "" || len(f) > 0 {
		t.Errorf("stored (-want +got):\n%s%v", diff, f)
	}
	if got := parseNetworks(f, []string{"10.0.0.0/8", strings.Repeat("é", 100)}); got != nil || len(f.Error()) > 300 {
		t.Errorf("stored %q of bad ones, told in %d bytes", got, len(f.Error()))
	}
}

// What is stored reads as itself, and what is inside a network is admitted.
func FuzzNetworks(f *testing.F) {
	for _, text := range []string{"10.0.0.0/8", "::ffff:10.0.0.0/104", "192.0.2.1", "fe80::1%eth0", "::/0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		network, ok := parseNetwork(text)
		if !ok {
			return
		}
		again, err := netip.ParsePrefix(network.String())
		if err != nil || again != network || network != network.Masked() || network.Addr().Is4In6() {
			t.Fatalf("%q is stored as %v, read as %v, %v", text, network, again, err)
		}
		row := serviceTokenRow{Networks: []string{network.String()}}
		if !row.admits(network.Addr().String()) || row.admits("no address") {
			t.Fatalf("%v does not admit its own address, or admits none", network)
		}
	})
}

func FuzzServiceTokenExpiry(f *testing.F) {
	for _, text := range []string{"30d", "2030-01-31T10:30:00Z", "", "9999-12-31T23:59:59+14:00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const now = 1_700_000_000
		for _, fields := range []ServiceTokenFields{{Expires: &text}, {ExpiresIn: &text}} {
			wrong := FieldErrors{}
			switch at := fields.expiry(wrong, now); {
			case (at == 0) == (len(wrong) == 0):
				t.Fatalf("%q gives %d and %v", text, at, wrong)
			case at != 0 && (at <= now || at > now+maxLifetime):
				t.Fatalf("%q gives %d", text, at)
			}
		}
	})
}
