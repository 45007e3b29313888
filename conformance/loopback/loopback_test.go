package loopback

import (
	"net"
	"strconv"
	"testing"
)

func TestAddressesAreFreeAndGivenOnce(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		a, err := Address()
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(a)
		if n, _ := strconv.Atoi(port); err != nil || n < firstPort || n > lastPort || seen[a] {
			t.Fatalf("%s, %v, given before: %v", a, err, seen[a])
		}
		seen[a] = true
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
}
