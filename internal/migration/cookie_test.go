package migration

import (
	"testing"
	"time"
)

func TestStampOf(t *testing.T) {
	for name, c := range map[string]struct {
		cookie string
		want   int64
	}{
		"a cookie of libvirt":    {"<qemu-migration><name>web</name><statistics><started>1</started><sent>1700000000123</sent></statistics></qemu-migration>\x00", 1700000000123},
		"one without statistics": {"<qemu-migration><name>web</name></qemu-migration>\x00", 0},
		"one that is not XML":    {"\x00\x01", 0},
		"none":                   {"", 0},
		"a time that is none":    {"<q><statistics><sent>soon</sent></statistics></q>", 0},
		"a negative time":        {"<q><statistics><sent>-5</sent></statistics></q>", 0},
	} {
		if got := stampOf([]byte(c.cookie)); got.hostMS != c.want {
			t.Errorf("%s: %d, want %d", name, got.hostMS, c.want)
		}
	}
}

func TestSkewTakesOffTheTimeThatPassedHere(t *testing.T) {
	now := time.Now()
	ms, known := skew(clockStamp{hostMS: 1000, at: now}, clockStamp{hostMS: 8040, at: now.Add(40 * time.Millisecond)})
	if !known || ms != 7000 {
		t.Errorf("skew %d (known %v), want 7000", ms, known)
	}
	if _, known = skew(clockStamp{}, clockStamp{hostMS: 1, at: now}); known {
		t.Error("a skew out of one stamp")
	}
}

func FuzzStampOf(f *testing.F) {
	f.Add([]byte("<qemu-migration><statistics><sent>1700000000123</sent></statistics></qemu-migration>\x00"))
	f.Add([]byte("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"))
	f.Fuzz(func(t *testing.T, cookie []byte) {
		if s := stampOf(cookie); s.hostMS < 0 {
			t.Errorf("negative stamp %d", s.hostMS)
		}
	})
}
