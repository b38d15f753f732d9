package host

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// asked is the call that a reply is for.
type asked struct{ program, procedure uint32 }

// layout is what a reply is made of, a letter for each value:
//
//	i    a number of four bytes: XDR has none that is shorter
//	h    a number of eight bytes
//	u    a UUID, sixteen bytes
//	s    a string or opaque bytes: the length, the bytes, and padding to four
//	p    a typed parameter: its name, the number of its type, and its value
//	(…)  an array: the number of its elements, and these
//	[…]  an optional value: 0, or 1 and the value
type layout string

// replies are the layouts of all the replies that this package waits for. go-libvirt allocates what a length says
// before it has read what the length is of, so that a few bytes could end this process, which no recover prevents. A
// reply reaches it only when all that it claims is there, and a reply to a procedure that is not here never does.
var replies = map[asked]layout{
	{programRemote, 1}:   "",  // open
	{programRemote, 3}:   "s", // driver
	{programRemote, 4}:   "h", // hypervisor version
	{programRemote, 6}:   layout(strings.Repeat("i", 32)) + "hiiiiii",
	{programRemote, 7}:   "s",   // capabilities
	{programRemote, 10}:  "sui", // domain made
	{programRemote, 14}:  "s",   // domain XML
	{programRemote, 15}:  "i",   // autostart
	{programRemote, 24}:  "sui", // domain by UUID
	{programRemote, 28}:  "",    // resume
	{programRemote, 29}:  "",    // set autostart
	{programRemote, 34}:  "",    // suspend
	{programRemote, 43}:  "s",   // network XML
	{programRemote, 46}:  "su",  // network by name
	{programRemote, 59}:  "s",   // hostname
	{programRemote, 60}:  "i",   // feature
	{programRemote, 66}:  "(i)", // ways in
	{programRemote, 70}:  "i",   // polkit
	{programRemote, 76}:  "su",  // pool made
	{programRemote, 77}:  "su",  // pool defined
	{programRemote, 79}:  "",    // build pool
	{programRemote, 80}:  "",    // destroy pool
	{programRemote, 81}:  "",    // delete pool
	{programRemote, 82}:  "",    // undefine pool
	{programRemote, 83}:  "",    // refresh pool
	{programRemote, 84}:  "su",  // pool by name
	{programRemote, 88}:  "s",   // pool XML
	{programRemote, 93}:  "sss", // volume made
	{programRemote, 94}:  "",    // delete volume
	{programRemote, 95}:  "sss", // volume by name
	{programRemote, 97}:  "sss", // volume by path
	{programRemote, 98}:  "ihh", // volume info
	{programRemote, 99}:  "s",   // volume XML
	{programRemote, 102}: "h",   // free memory
	{programRemote, 114}: "s",   // node device XML
	{programRemote, 128}: "ss",  // interface by name
	{programRemote, 151}: "i",   // persistent
	{programRemote, 154}: "i",   // pool active
	{programRemote, 157}: "h",   // libvirt version
	{programRemote, 164}: "",    // abort the job
	{programRemote, 166}: "",    // set downtime
	{programRemote, 183}: "i",   // saved state
	{programRemote, 187}: "i",   // snapshots
	{programRemote, 194}: "hhh", // block info
	{programRemote, 212}: "ii",  // domain state
	{programRemote, 227}: "(sh)i",
	{programRemote, 228}: "(sh)i",
	{programRemote, 231}: "",  // undefine
	{programRemote, 234}: "",  // destroy
	{programRemote, 264}: "",  // set metadata
	{programRemote, 265}: "s", // metadata
	{programRemote, 273}: "(sui)i",
	{programRemote, 281}: "(su)i",
	{programRemote, 283}: "(su)i",
	{programRemote, 285}: "(s)i",
	{programRemote, 298}: "i(p)",     // job statistics
	{programRemote, 302}: "ss",       // begin
	{programRemote, 303}: "s[s]",     // prepare
	{programRemote, 305}: "s",        // perform
	{programRemote, 306}: "suis",     // finish
	{programRemote, 307}: "",         // confirm
	{programRemote, 316}: "i",        // register for events
	{programRemote, 317}: "",         // deregister
	{programRemote, 340}: "(h)",      // free pages
	{programRemote, 342}: "s",        // domain capabilities
	{programRemote, 344}: "(sui(p))", // domain statistics
	{programRemote, 350}: "sui",      // define
	{programRemote, 364}: "",         // post-copy
	{programRemote, 387}: "h",        // downtime
	{programRemote, 391}: "su",       // pool by folder
	{programRemote, 393}: "i",        // compare CPU
	{programRemote, 413}: "(ssui)i",  // checkpoints
	{programQEMU, 1}:     "s",        // monitor
}

// errorLayout is what go-libvirt reads of an error: code, domain, whether there is a message, the message, and the
// level.
const errorLayout layout = "iiisi"

// The statuses of replies. A third belongs to streams, of which there are none here.
const (
	statusOK    = 0
	statusError = 1
)

// mostString is libvirt's own limit of a string and of a migration's cookie (REMOTE_STRING_MAX).
const mostString = 4 << 20

// checkReply refuses a reply that was not asked for in that way, or that claims more than it carries.
func checkReply(to asked, h header, payload []byte) error {
	if h.procedure != to.procedure {
		return fmt.Errorf("%w: a reply to procedure %d where %d was called", errFrame, h.procedure, to.procedure)
	}
	l, known := replies[to]
	switch {
	case h.status == statusError:
		l = errorLayout
	case h.status != statusOK:
		return fmt.Errorf("%w: a reply of status %d", errFrame, h.status)
	case !known:
		return fmt.Errorf("%w: a reply to procedure %d, which is not known here", errFrame, to.procedure)
	}
	if _, err := l.read(payload); err != nil {
		return fmt.Errorf("%w: the reply to procedure %d: %w", errFrame, to.procedure, err)
	}
	return nil
}

// read goes through what a layout says, and returns what lies behind it.
func (l layout) read(b []byte) (rest []byte, err error) {
	for len(l) > 0 && err == nil {
		kind := l[0]
		l = l[1:]
		switch kind {
		case 'i':
			b, err = skip(b, 4)
		case 'h':
			b, err = skip(b, 8)
		case 'u':
			b, err = skip(b, 16)
		case 's':
			b, err = skipString(b)
		case 'p':
			b, err = skipParameter(b)
		default:
			inner := l[:l.closing()]
			l = l[len(inner)+1:]
			b, err = inner.readMany(b, kind == '[')
		}
	}
	return b, err
}

// closing is where the bracket that was opened before l is closed.
func (l layout) closing() int {
	depth := 1
	for i, c := range l {
		switch c {
		case '(', '[':
			depth++
		case ')', ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	panic("a layout without its closing bracket: " + string(l))
}

// readMany reads an array of such elements, or an optional one. Each takes four bytes at least, so that an array is
// refused before its first element if it cannot be there.
func (l layout) readMany(b []byte, optional bool) ([]byte, error) {
	n, b, err := number(b)
	switch {
	case err != nil:
		return nil, err
	case optional && n > 1:
		return nil, fmt.Errorf("it claims %d values where one may be", n)
	case uint64(n)*4 > uint64(len(b)):
		return nil, fmt.Errorf("it claims %d elements in %d bytes", n, len(b))
	}
	for ; n > 0 && err == nil; n-- {
		b, err = l.read(b)
	}
	return b, err
}

func number(b []byte) (n uint32, rest []byte, err error) {
	if rest, err = skip(b, 4); err != nil {
		return 0, nil, err
	}
	return binary.BigEndian.Uint32(b), rest, nil
}

func skip(b []byte, n int) ([]byte, error) {
	if len(b) < n {
		return nil, fmt.Errorf("it claims %d bytes more where %d are left", n, len(b))
	}
	return b[n:], nil
}

func skipString(b []byte) ([]byte, error) {
	n, b, err := number(b)
	if err == nil && n > mostString {
		err = fmt.Errorf("it claims a string of %d bytes", n)
	}
	if err != nil {
		return nil, err
	}
	return skip(b, int(n+3)&^3)
}

// skipParameter knows the types of libvirt's virTypedParameterType.
func skipParameter(b []byte) ([]byte, error) {
	b, err := skipString(b)
	if err != nil {
		return nil, err
	}
	kind, b, err := number(b)
	if err != nil {
		return nil, err
	}
	switch kind {
	case 1, 2, 6: // int, unsigned, boolean
		return skip(b, 4)
	case 3, 4, 5: // long, unsigned long, double
		return skip(b, 8)
	case 7:
		return skipString(b)
	}
	return nil, fmt.Errorf("a typed parameter of type %d", kind)
}
