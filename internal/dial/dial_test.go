package dial

import (
	"fmt"
	"net"
	"testing"
)

func TestGuardJudgesAddresses(t *testing.T) {
	guard := Guard(false)
	for _, tt := range []struct {
		network, address string
		refused          bool
	}{
		{"tcp4", "93.184.216.34:443", false},
		{"tcp4", "93.184.216.34:80", false},
		{"tcp4", "93.184.216.34:25", true},
		{"tcp4", "127.0.0.1:443", true},
		{"tcp4", "10.1.2.3:443", true},
		{"tcp4", "172.16.0.1:443", true},
		{"tcp4", "192.168.0.1:443", true},
		{"tcp4", "169.254.169.254:80", true},
		{"tcp4", "100.64.0.1:443", true},
		{"tcp4", "0.0.0.0:443", true},
		{"tcp6", "[2606:2800:220:1:248:1893:25c8:1946]:443", false},
		{"tcp6", "[::1]:443", true},
		{"tcp6", "[::ffff:127.0.0.1]:443", true},
		{"tcp6", "[fe80::1]:443", true},
		{"tcp6", "[fd00::1]:443", true},
		{"tcp6", "[64:ff9b::7f00:1]:443", true},
		{"udp4", "93.184.216.34:443", true},
		{"tcp4", "nonsense", true},
	} {
		t.Run(tt.network+" "+tt.address, func(t *testing.T) {
			err := guard(tt.network, tt.address, nil)
			if (err != nil) != tt.refused || Refused(err) != tt.refused {
				t.Errorf("guard: %v, want refused %v", err, tt.refused)
			}
		})
	}
}

func TestGuardOfAllIsNone(t *testing.T) {
	if Guard(true) != nil {
		t.Error("there is a guard although all is allowed")
	}
}

func TestRefusedIsFoundBelowADialersError(t *testing.T) {
	dialer := net.Dialer{Control: Guard(false)}
	conn, err := dialer.Dial("tcp", "127.0.0.1:443")
	if err == nil {
		_ = conn.Close()
	}
	if !Refused(fmt.Errorf("post: %w", err)) {
		t.Errorf("%v does not count as refused", err)
	}
	if Refused(net.ErrClosed) || Refused(nil) {
		t.Error("another error counts as refused")
	}
}
