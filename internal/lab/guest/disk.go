//go:build linux

package main

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// diskBlocks is the length of the file being written, in blocks of one page.
const diskBlocks = 512

// useDisk writes a file round and round, every block with its number and a checksum, past every
// cache, and reads another block back after each: one that is older, or not whole, is an error.
func (s *self) useDisk(device string, ready func()) {
	_ = os.MkdirAll("/disk", 0o755)
	var err error
	for range 200 { // the device appears when its driver has found it
		if err = unix.Mount(device, "/disk", "ext4", 0, ""); err == nil || err != unix.ENOENT {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		s.complain("mount %s: %v", device, err)
		s.diskErrors.Add(1)
		return
	}
	fd, err := unix.Open("/disk/written", unix.O_RDWR|unix.O_CREAT|unix.O_DIRECT|unix.O_DSYNC, 0o600)
	if err != nil {
		s.complain("file on %s: %v", device, err)
		s.diskErrors.Add(1)
		return
	}
	block, back := alignedPage(), alignedPage()
	var held [diskBlocks]uint64 // the number each block must hold
	for number := uint64(1); ; number++ {
		at := number % diskBlocks
		binary.LittleEndian.PutUint64(block[8:], number)
		binary.LittleEndian.PutUint32(block, crc32.ChecksumIEEE(block[8:]))
		if n, err := unix.Pwrite(fd, block, int64(at)*page); err != nil || n != page {
			s.diskErrors.Add(1)
			s.complain("write of disk block %d: %d bytes, %v", number, n, err)
		} else {
			held[at] = number
			s.diskWritten.Add(1)
		}
		// Look at a block written some time ago; the older it is, the longer a lost write may hide.
		age := (number * 2654435761 >> 7) % min(number, diskBlocks)
		if look := (number - age) % diskBlocks; held[look] != 0 {
			n, err := unix.Pread(fd, back, int64(look)*page)
			switch {
			case err != nil || n != page:
				s.diskErrors.Add(1)
				s.complain("read of disk block %d: %d bytes, %v", held[look], n, err)
			case binary.LittleEndian.Uint32(back) != crc32.ChecksumIEEE(back[8:]):
				s.diskErrors.Add(1)
				s.complain("disk block %d has a wrong checksum", held[look])
			case binary.LittleEndian.Uint64(back[8:]) != held[look]:
				s.diskErrors.Add(1)
				s.complain("disk block holds %d where %d was written", binary.LittleEndian.Uint64(back[8:]), held[look])
			default:
				s.diskChecked.Add(1)
			}
		}
		if number == 1 {
			ready()
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// alignedPage returns a page at an address that O_DIRECT accepts.
func alignedPage() []byte {
	room := make([]byte, 2*page)
	shift := page - int(uintptr(unsafe.Pointer(&room[0]))%page)
	return room[shift : shift+page]
}
