package host

import (
	"encoding/binary"
	"fmt"
)

// asked is the call that a reply is for.
type asked struct{ program, procedure uint32 }

// leading says for a reply where the length of its variable part stands, and the least size of one
// element. go-libvirt allocates what that length says before it has read a single element, so a length
// that the reply cannot hold must not reach it.
var leading = map[uint32]struct{ offset, element int }{
	14:           {0, 1},  // domain XML
	7:            {0, 1},  // capabilities
	59:           {0, 1},  // host name
	procAuthList: {0, 4},  // ways in
	76:           {0, 1},  // new pool: its name
	84:           {0, 1},  // pool by name
	86:           {0, 1},  // pool of a volume
	88:           {0, 1},  // pool XML
	93:           {0, 1},  // new volume: its pool
	95:           {0, 1},  // volume by name
	97:           {0, 1},  // volume by path
	99:           {0, 1},  // volume XML
	227:          {0, 12}, // host CPU counters
	228:          {0, 12}, // host memory
	265:          {0, 1},  // metadata
	273:          {0, 24}, // domains
	281:          {0, 20}, // pools
	298:          {4, 12}, // job statistics, after the type
	302:          {0, 1},  // begin: cookie
	303:          {0, 1},  // prepare: cookie
	305:          {0, 1},  // perform: cookie
	342:          {0, 1},  // domain capabilities
	391:          {0, 1},  // pool by folder
}

// monitorReply is that of the one procedure of the QEMU program that is called: what its monitor said.
var monitorReply = leading[14]

// checkReply refuses a reply that claims more than it carries.
func checkReply(to asked, status uint32, payload []byte) error {
	if status != 0 {
		return nil // an error: a few strings, whose lengths cost nothing until they are there
	}
	l, known := leading[to.procedure]
	if to.program == programQEMU {
		l, known = monitorReply, true
	}
	if !known {
		return nil
	}
	if len(payload) < l.offset+4 {
		return fmt.Errorf("%w: a reply of %d bytes", errFrame, len(payload))
	}
	n := uint64(binary.BigEndian.Uint32(payload[l.offset:]))
	if n*uint64(l.element) > uint64(len(payload)-l.offset-4) {
		return fmt.Errorf("%w: a reply that claims %d elements in %d bytes", errFrame, n, len(payload))
	}
	return nil
}
