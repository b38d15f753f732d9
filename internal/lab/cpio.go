package lab

import (
	"bytes"
	"fmt"
)

// cpio collects files in the "newc" format, the one Linux unpacks as its first root directory.
type cpio struct {
	out   bytes.Buffer
	inode int
}

const (
	cpioFile   = 0o100000
	cpioDir    = 0o040000
	cpioDevice = 0o020000
)

func (c *cpio) dir(name string)                         { c.entry(name, cpioDir|0o755, 0, 0, nil) }
func (c *cpio) file(name string, mode int, text []byte) { c.entry(name, cpioFile|mode, 0, 0, text) }
func (c *cpio) device(name string, major, minor int) {
	c.entry(name, cpioDevice|0o600, major, minor, nil)
}

func (c *cpio) entry(name string, mode, major, minor int, text []byte) {
	c.inode++
	fmt.Fprintf(&c.out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.inode, mode, 0, 0, 1, 0, len(text), 0, 0, major, minor, len(name)+1, 0, name)
	c.pad()
	c.out.Write(text)
	c.pad()
}

func (c *cpio) pad() {
	for c.out.Len()%4 != 0 {
		c.out.WriteByte(0)
	}
}

func (c *cpio) bytes() []byte {
	c.entry("TRAILER!!!", 0, 0, 0, nil)
	return c.out.Bytes()
}
