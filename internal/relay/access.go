package relay

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// letIn gives QEMU's user, beside the owner, the directory of the sockets, and both of them every socket that
// is made there: QEMU's belong to QEMU, the relay's to the relay, and each has to connect to the other's.
// Groups and modes cannot say that, since all of a group would come in.
func letIn(dir string, owner, qemu int) error {
	access := list(map[int]bool{qemu: true})
	inherited := list(map[int]bool{qemu: true, owner: true})
	for name, acl := range map[string][]byte{"system.posix_acl_access": access, "system.posix_acl_default": inherited} {
		if err := unix.Setxattr(dir, name, acl, 0); err != nil {
			return fmt.Errorf("let QEMU's user %d into %s by an access control list: %w", qemu, dir, err)
		}
	}
	return nil
}

// list is an access control list in the kernel's form (linux/posix_acl_xattr.h): everything for the owner and
// the users, nothing for anybody else.
func list(users map[int]bool) []byte {
	const (
		version                                     = 2
		userObj, user, groupObj, mask, other uint16 = 0x01, 0x02, 0x04, 0x10, 0x20
		everything, nothing                  uint16 = 7, 0
		nobody                               uint32 = 0xffffffff
	)
	acl := binary.LittleEndian.AppendUint32(nil, version)
	add := func(tag, permissions uint16, id uint32) {
		acl = binary.LittleEndian.AppendUint16(acl, tag)
		acl = binary.LittleEndian.AppendUint16(acl, permissions)
		acl = binary.LittleEndian.AppendUint32(acl, id)
	}
	add(userObj, everything, nobody)
	ids := make([]int, 0, len(users))
	for id := range users {
		ids = append(ids, id)
	}
	if len(ids) == 2 && ids[0] > ids[1] { // the kernel wants them in order
		ids[0], ids[1] = ids[1], ids[0]
	}
	for _, id := range ids {
		add(user, everything, uint32(id))
	}
	add(groupObj, nothing, nobody)
	add(mask, everything, nobody)
	add(other, nothing, nobody)
	return acl
}
