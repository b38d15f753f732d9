package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAGuestGetsALittleMoreMemoryInBothPlaces(t *testing.T) {
	got := odd([]string{"-machine", "q35,memory-backend=pc.ram", "-m", "256",
		"-object", `{"qom-type":"memory-backend-ram","id":"pc.ram","size":268435456}`,
		"-object", `{"qom-type":"memory-backend-ram","id":"other","size":1048576}`})
	want := []string{"-machine", "q35,memory-backend=pc.ram", "-m", "size=262152k",
		"-object", `{"qom-type":"memory-backend-ram","id":"pc.ram","size":268443648}`,
		"-object", `{"qom-type":"memory-backend-ram","id":"other","size":1048576}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestAQuestionWithoutAGuestStaysAsItIs(t *testing.T) {
	asked := []string{"-S", "-nodefaults", "-machine", "none,accel=kvm:tcg", "-qmp", "unix:/run/x"}
	if diff := cmp.Diff(asked, odd(asked)); diff != "" {
		t.Fatal(diff)
	}
}
