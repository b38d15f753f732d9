package host

import "testing"

func TestForwardOfANetwork(t *testing.T) {
	for name, c := range map[string]struct{ xml, mode string }{
		"behind a NAT":     {"<network><name>n</name><forward mode='nat'><nat><port start='1024'/></nat></forward></network>", "nat"},
		"without its mode": {"<network><name>n</name><forward dev='eth0'/></network>", "nat"},
		"cut off":          {"<network><name>n</name><bridge name='virbr1'/></network>", "none"},
		"on a bridge":      {"<network><name>n</name><forward mode='bridge'/><bridge name='br0'/></network>", "bridge"},
	} {
		t.Run(name, func(t *testing.T) {
			if mode, err := forward(c.xml); err != nil || mode != c.mode {
				t.Errorf("%q, %v; want %q", mode, err, c.mode)
			}
		})
	}
	if mode, err := forward("<network"); err == nil {
		t.Errorf("half a description has the mode %q", mode)
	}
}
