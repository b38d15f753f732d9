package host

import (
	"bytes"
	"context"
	"maps"
	"math"
	"net"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
)

// decoded has go-libvirt make one of its calls, with arguments that mean nothing, of a daemon that answers with such a
// frame. It returns how many bytes this process allocated meanwhile.
func decoded(t *testing.T, call string, answer func(c *peerConn, call header)) (allocated uint64, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	w := newWire(ours, nil)
	r := &rpc{host: "alpha", wire: w, lib: libvirt.NewWithDialer(w)}
	defer r.close()
	go func() {
		c := &peerConn{Conn: theirs}
		for opened := false; ; {
			h, _, err := c.frame()
			switch {
			case err != nil:
				return
			case opened:
				answer(c, h)
			case h.procedure == procAuthList:
				c.reply(h, array(0))
			default:
				c.reply(h, nil)
				opened = true
			}
		}
	}()
	if err := r.lib.ConnectToURI("qemu:///system"); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = rpcCall(t.Context(), r, call)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, err
}

// rpcCall makes a call by its name.
func rpcCall(ctx context.Context, r *rpc, name string) (struct{}, error) {
	return call(ctx, r, name, time.Minute, func(l *libvirt.Libvirt) (struct{}, error) {
		method := reflect.ValueOf(l).MethodByName(name)
		var arguments []reflect.Value
		for i := range method.Type().NumIn() {
			arguments = append(arguments, reflect.Zero(method.Type().In(i)))
		}
		results := method.Call(arguments)
		err, _ := results[len(results)-1].Interface().(error)
		return struct{}{}, err
	})
}

// mostAllocated is what the decoding of a reply may cost: Go's values are larger than XDR's.
func mostAllocated(payload []byte) uint64 { return 4<<20 + 128*uint64(len(payload)) }

// TestLyingRepliesCostNothing: whatever a reply claims, no more is allocated than it carries.
func TestLyingRepliesCostNothing(t *testing.T) {
	const lie = math.MaxInt32 - 7
	domain := append(append(text("web"), "0123456789abcdef"...), word(7)...)
	said := func(message []byte) []byte {
		return bytes.Join([][]byte{word(1), word(10), word(1), message}, nil)
	}
	recordsLie := slices.Concat(word(1), domain, word(lie))
	parameterLie := slices.Concat(word(2), word(1), text("name"), word(7), word(lie))
	prepareLie, finishLie := append(text("cookie"), word(lie)...), append(slices.Clone(domain), word(lie)...)
	silentLie := slices.Concat(word(1), word(10), word(0), word(lie))
	// a reply that carries an event is decoded as that event
	tunable := bytes.Join([][]byte{word(1), domain, word(lie)}, nil)
	for name, c := range map[string]struct {
		call      string
		procedure uint32 // where it is not the one that was called
		status    uint32
		payload   []byte
	}{
		"an array":                            {call: "ConnectListAllNetworks", payload: word(lie)},
		"an array of numbers":                 {call: "NodeGetFreePages", payload: word(lie)},
		"an array of records":                 {call: "ConnectGetAllDomainStats", payload: word(lie)},
		"an array in an array":                {call: "ConnectGetAllDomainStats", payload: recordsLie},
		"an array after a string":             {call: "DomainListAllCheckpoints", payload: word(lie)},
		"a string in an array":                {call: "ConnectListAllNodeDevices", payload: append(word(1), word(lie)...)},
		"a typed parameter":                   {call: "DomainGetJobStats", payload: parameterLie},
		"a string":                            {call: "NodeDeviceGetXMLDesc", payload: word(lie)},
		"the second string":                   {call: "InterfaceLookupByName", payload: append(text("eth0"), word(lie)...)},
		"a string in a fixed record":          {call: "StoragePoolDefineXML", payload: word(lie)},
		"a cookie":                            {call: "DomainMigrateBegin3Params", payload: word(lie)},
		"a cookie at the end":                 {call: "DomainMigrateFinish3Params", payload: finishLie},
		"an optional string":                  {call: "DomainMigratePrepare3Params", payload: prepareLie},
		"the ways in":                         {call: "AuthList", payload: word(lie)},
		"a monitor's answer":                  {call: "QEMUDomainMonitorCommand", payload: word(lie)},
		"an error's message":                  {call: "ConnectListAllDomains", status: 1, payload: said(word(lie))},
		"an error without a message":          {call: "ConnectListAllDomains", status: 1, payload: silentLie},
		"a reply of an unknown status":        {call: "ConnectListAllDomains", status: 2, payload: word(lie)},
		"a reply to another procedure":        {call: "DomainGetState", procedure: 360, payload: tunable},
		"a reply to a call that is not known": {call: "ConnectListAllSecrets", payload: word(lie)},
	} {
		t.Run(name, func(t *testing.T) {
			allocated, err := decoded(t, c.call, func(p *peerConn, h header) {
				procedure := h.procedure
				if c.procedure != 0 {
					procedure = c.procedure
				}
				_, _ = p.Write(frame(h.program, procedure, typeReply, h.serial, c.status, c.payload))
			})
			wants(t, err, ErrUnreachable, "does not speak libvirt's protocol")
			if allocated > mostAllocated(c.payload) {
				t.Errorf("%d bytes were allocated for a reply of %d", allocated, len(c.payload))
			}
		})
	}
}

// TestFixedRepliesMustBeWhole: what is missing of a reply without a length is not made up.
func TestFixedRepliesMustBeWhole(t *testing.T) {
	for _, name := range []string{"NodeGetInfo", "DomainGetState", "DomainGetBlockInfo", "StorageVolGetInfo"} {
		_, err := decoded(t, name, func(p *peerConn, h header) { p.reply(h, word(1)) })
		wants(t, err, ErrUnreachable, "does not speak libvirt's protocol")
	}
}

// FuzzReplies gives go-libvirt's decoder, for each of the calls that are made, what a daemon may say.
func FuzzReplies(f *testing.F) {
	calls, others := goLibvirt(f)
	names := made(f, calls, others)
	maps.DeleteFunc(calls, func(name string, _ theirs) bool { return !slices.Contains(names, name) })
	for i, name := range names {
		f.Add(uint8(i), uint32(statusOK), word(math.MaxInt32))
		f.Add(uint8(i), uint32(statusOK), sample(calls[name].layout))
	}
	f.Add(uint8(0), uint32(statusError), slices.Concat(word(1), word(10), word(1), text("no domain"), word(2)))
	f.Add(uint8(0), uint32(statusError), slices.Concat(word(CodeSystem), sample("i[s]i[sui][s][s][s]ii[su]")))
	f.Fuzz(func(t *testing.T, which uint8, status uint32, payload []byte) {
		name := names[int(which)%len(names)]
		allocated, err := decoded(t, name, func(p *peerConn, h header) {
			_, _ = p.Write(frame(h.program, h.procedure, typeReply, h.serial, status, payload))
		})
		if allocated > mostAllocated(payload) {
			t.Errorf("%s: %d bytes were allocated for a reply of %d", name, allocated, len(payload))
		}
		if err == nil && status > statusError {
			t.Errorf("%s: a reply of status %d was taken for an answer", name, status)
		}
	})
}

// sample is a reply of that layout with one element in each array.
func sample(l layout) (b []byte) {
	for _, kind := range l {
		switch kind {
		case 'i':
			b = append(b, word(1)...)
		case 'h':
			b = append(b, make([]byte, 8)...)
		case 'u':
			b = append(b, "0123456789abcdef"...)
		case 's':
			b = append(b, text("words")...)
		case 'p':
			b = slices.Concat(b, text("name"), word(7), text("value"))
		case '(', '[':
			b = append(b, word(1)...)
		}
	}
	return b
}
