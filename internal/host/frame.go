package host

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A libvirt RPC message is a frame: its length in four bytes, these included, a header of six words, and
// the payload.
const (
	headerSize = 28
	// maxFrame is the longest frame libvirt sends: 32 MiB of payload.
	maxFrame = headerSize + 32<<20
)

const (
	programRemote    = 0x20008086
	programQEMU      = 0x20008087
	programKeepalive = 0x6b656570

	keepalivePing = 1
	keepalivePong = 2

	procAuthList  = 66
	procLifecycle = 318 // REMOTE_PROC_DOMAIN_EVENT_CALLBACK_LIFECYCLE
	procIOError   = 322 // REMOTE_PROC_DOMAIN_EVENT_CALLBACK_IO_ERROR
	procPass      = 359 // REMOTE_PROC_DOMAIN_EVENT_CALLBACK_MIGRATION_ITERATION

	typeCall    = 0
	typeReply   = 1
	typeMessage = 2
)

// header is the start of a frame.
type header struct {
	length    uint32
	program   uint32
	version   uint32
	procedure uint32
	kind      uint32
	serial    int32
	status    uint32
}

var errFrame = errors.New("the daemon does not speak libvirt's protocol")

// parseHeader reads the first headerSize bytes of a frame and refuses lengths no daemon sends.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize {
		return header{}, fmt.Errorf("%w: a header of %d bytes", errFrame, len(b))
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	h := header{
		length: word(0), program: word(1), version: word(2), procedure: word(3),
		kind: word(4), serial: int32(word(5)), status: word(6),
	}
	if h.length < headerSize || h.length > maxFrame {
		return header{}, fmt.Errorf("%w: a message of %d bytes", errFrame, h.length)
	}
	return h, nil
}

// keepaliveFrame is a ping or a pong.
func keepaliveFrame(procedure uint32) []byte {
	b := make([]byte, headerSize)
	for i, w := range []uint32{headerSize, programKeepalive, 1, procedure, typeMessage, 0, 0} {
		binary.BigEndian.PutUint32(b[4*i:], w)
	}
	return b
}

// outgoing follows the bytes we send, so that nothing is ever put into the middle of a frame.
type outgoing struct {
	head []byte // of the frame being sent, until complete
	left uint32 // bytes of the frame still to come after its header
}

// atBoundary says whether the next byte would begin a frame.
func (o *outgoing) atBoundary() bool { return o.left == 0 && len(o.head) == 0 }

// advance takes note of bytes about to be sent and calls began for each header completed in them.
func (o *outgoing) advance(p []byte, began func(header)) error {
	for len(p) > 0 {
		if o.left > 0 {
			n := min(uint32(len(p)), o.left)
			o.left -= n
			p = p[n:]
			continue
		}
		n := min(len(p), headerSize-len(o.head))
		o.head = append(o.head, p[:n]...)
		p = p[n:]
		if len(o.head) < headerSize {
			continue
		}
		h, err := parseHeader(o.head)
		if err != nil {
			return err
		}
		o.head = o.head[:0]
		o.left = h.length - headerSize
		began(h)
	}
	return nil
}

// happening is the payload of an event: of a domain's life, of its disks, or of the passes of its migration.
type happening struct {
	uuid         [16]byte
	kind, detail int32
}

// parseEvent decodes the payload of an event that came as the given procedure: a callback number, a domain
// (name, UUID, id), and then the kind of a lifecycle event and its detail, or the number of a pass. Of an error of
// a disk no more is read than whose it is.
func parseEvent(procedure uint32, b []byte) (happening, error) {
	var h happening
	bad := fmt.Errorf("%w: a malformed event", errFrame)
	if len(b) < 8 {
		return h, bad
	}
	name := binary.BigEndian.Uint32(b[4:])
	b = b[8:]
	if uint64(name) > uint64(len(b)) {
		return h, bad
	}
	words := map[uint32]uint64{procLifecycle: 2, procPass: 1}[procedure]
	padded := (uint64(name) + 3) &^ 3
	if padded+16+4+4*words > uint64(len(b)) {
		return h, bad
	}
	b = b[padded:]
	copy(h.uuid[:], b)
	word := func(i int) int32 { return int32(binary.BigEndian.Uint32(b[20+4*i:])) }
	switch procedure {
	case procLifecycle:
		h.kind, h.detail = word(0), word(1)
	case procPass:
		h.kind, h.detail = EventMemoryPass, word(0)
	default:
		h.kind = EventIOError
	}
	return h, nil
}

// parseAuthList decodes the ways in that a daemon offers (0 none, 1 SASL, 2 polkit).
func parseAuthList(b []byte) []uint32 {
	if len(b) < 4 {
		return nil
	}
	n := binary.BigEndian.Uint32(b)
	b = b[4:]
	var kinds []uint32
	for ; n > 0 && len(b) >= 4; n-- {
		kinds = append(kinds, binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	return kinds
}
