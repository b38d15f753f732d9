package migration

import "testing"

func TestClockDelta(t *testing.T) {
	for name, c := range map[string]struct {
		cookie string
		want   int64
		known  bool
	}{
		"a clock ahead":            {"<qemu-migration><statistics><sent>1</sent><delta>7003</delta></statistics></qemu-migration>\x00", 7003, true},
		"a clock behind":           {"<qemu-migration><statistics><delta>-6997</delta></statistics></qemu-migration>\x00", -6997, true},
		"statistics without it":    {"<qemu-migration><statistics><sent>1</sent></statistics></qemu-migration>\x00", 0, false},
		"no statistics":            {"<qemu-migration><name>web</name></qemu-migration>\x00", 0, false},
		"something that is no XML": {"\x00\x01", 0, false},
		"nothing":                  {"", 0, false},
		"a delta that is none":     {"<q><statistics><delta>soon</delta></statistics></q>", 0, false},
	} {
		if ms, known := clockDelta([]byte(c.cookie)); ms != c.want || known != c.known {
			t.Errorf("%s: %d (known %v), want %d (%v)", name, ms, known, c.want, c.known)
		}
	}
}

func FuzzClockDelta(f *testing.F) {
	f.Add([]byte("<qemu-migration><statistics><delta>-6997</delta></statistics></qemu-migration>\x00"))
	f.Add([]byte("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"))
	f.Fuzz(func(t *testing.T, cookie []byte) {
		if ms, known := clockDelta(cookie); !known && ms != 0 {
			t.Errorf("%d out of nothing", ms)
		}
	})
}
