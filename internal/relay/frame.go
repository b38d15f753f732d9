package relay

import (
	"encoding/binary"
	"fmt"
)

// What travels inside the TLS connection of one channel is a row of frames, each a header and a payload.
//
//	hello    the first one, from the source: which channel, and how far its other direction has come
//	welcome  the answer
//	data     one chunk
//	ack      every chunk below this number stands in QEMU's socket; also sent as a sign of life
//	end      no more chunks come; numbered like one
//	fail     the channel is over, and the payload says why
//	bye      the destination has all there is, and knows that the source has too
//
//	0      1      2         4         8                16
//	| kind | flags | zero    | length  | number         | payload
const (
	headerBytes = 16
	// MaxChunkBytes is the longest payload of a frame.
	MaxChunkBytes = 1 << 20
	maxText       = 4 << 10
)

type frameKind uint8

const (
	frameHello frameKind = iota + 1
	frameWelcome
	frameData
	frameAck
	frameEnd
	frameFail
	frameBye
)

// flagCompressed marks a data frame whose payload is one zstd frame.
const flagCompressed = 1

type header struct {
	kind   frameKind
	flags  uint8
	length int
	number uint64
}

func (h header) put(b []byte) {
	b[0], b[1], b[2], b[3] = byte(h.kind), h.flags, 0, 0
	binary.BigEndian.PutUint32(b[4:], uint32(h.length))
	binary.BigEndian.PutUint64(b[8:], h.number)
}

// protocolError is what a peer did that no relay of this version does.
type protocolError string

func (e protocolError) Error() string { return "the other relay broke the protocol: " + string(e) }

func wrong(format string, args ...any) error { return protocolError(fmt.Sprintf(format, args...)) }

// parseHeader reads a header and refuses any that no relay sends. chunk is the longest payload of data.
func parseHeader(b []byte, chunk int) (header, error) {
	h := header{kind: frameKind(b[0]), flags: b[1], number: binary.BigEndian.Uint64(b[8:])}
	length := binary.BigEndian.Uint32(b[4:])
	least, most := uint32(0), uint32(0)
	switch h.kind {
	case frameHello, frameWelcome:
		least, most = positionBytes, positionBytes
	case frameData:
		least, most = 1, uint32(chunk)
	case frameFail:
		most = maxText
	case frameAck, frameEnd, frameBye:
	default:
		return header{}, wrong("frame of unknown kind %d", b[0])
	}
	if length < least || length > most {
		return header{}, wrong("frame of kind %d with %d bytes", b[0], length)
	}
	if b[2] != 0 || b[3] != 0 || h.flags != 0 && (h.kind != frameData || h.flags != flagCompressed) {
		return header{}, wrong("frame of kind %d with flags %x", b[0], b[1:4])
	}
	h.length = int(length)
	return h, nil
}

// Kind says what a channel carries.
type Kind uint8

// What a channel may carry.
const (
	Memory Kind = iota + 1
	Disks
	// Daemon is the source's libvirtd speaking with the destination's.
	Daemon
)

func (k Kind) String() string {
	switch k {
	case Memory:
		return "memory"
	case Disks:
		return "disks"
	case Daemon:
		return "daemon"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

type purpose uint8

const (
	purposeProbe purpose = iota + 1 // only to see that it can be done
	purposeOpen
	purposeResume
)

// protocolVersion changes with anything that an older relay would not understand.
const protocolVersion = 1

// position is the payload of hello and welcome: which channel, and what has come of the other direction.
type position struct {
	purpose purpose
	kind    Kind
	channel uint32
	// received is the number of the next chunk wanted; chunks below written stand in QEMU's socket.
	received, written uint64
}

const positionBytes = 24

func (p position) put(b []byte) {
	binary.BigEndian.PutUint16(b, protocolVersion)
	b[2], b[3] = byte(p.purpose), byte(p.kind)
	binary.BigEndian.PutUint32(b[4:], p.channel)
	binary.BigEndian.PutUint64(b[8:], p.received)
	binary.BigEndian.PutUint64(b[16:], p.written)
}

func parsePosition(b []byte) (position, error) {
	if len(b) != positionBytes {
		return position{}, wrong("a position of %d bytes", len(b))
	}
	if v := binary.BigEndian.Uint16(b); v != protocolVersion {
		return position{}, wrong("it speaks version %d, and this one version %d", v, protocolVersion)
	}
	p := position{
		purpose: purpose(b[2]), kind: Kind(b[3]), channel: binary.BigEndian.Uint32(b[4:]),
		received: binary.BigEndian.Uint64(b[8:]), written: binary.BigEndian.Uint64(b[16:]),
	}
	if p.purpose < purposeProbe || p.purpose > purposeResume || p.kind < Memory || p.kind > Daemon || p.written > p.received {
		return position{}, wrong("a position that cannot be: %+v", p)
	}
	return p, nil
}
