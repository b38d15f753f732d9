package relay

import (
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Permissions as the kernel has them in modes and access control lists.
const (
	permRead   uint16 = 4
	permWrite  uint16 = 2
	permSearch uint16 = 1
	permAll           = permRead | permWrite | permSearch
)

// letIn gives QEMU's user, beside the owner, what it needs of the directory of the sockets, and both of them every
// socket that is made there: QEMU's belong to QEMU, the relay's to the relay, and each has to connect to the other's.
// Groups and modes cannot say that, since all of a group would come in.
//
// At the destination QEMU makes its sockets. At the source it only connects, and must not be able to put a socket of
// its own in a relay's place: where nothing else keeps guests apart, every guest's QEMU is that user.
func letIn(dir string, owner, qemu int, role Role) error {
	needs := permAll
	if role == Source {
		needs = permSearch
	}
	access := list(grant{qemu, needs})
	inherited := list(grant{qemu, permAll}, grant{owner, permAll})
	for name, acl := range map[string][]byte{"system.posix_acl_access": access, "system.posix_acl_default": inherited} {
		if err := unix.Setxattr(dir, name, acl, 0); err != nil {
			return fmt.Errorf("let QEMU's user %d into %s by an access control list: %w", qemu, dir, err)
		}
	}
	return nil
}

// grant is what one user may do.
type grant struct {
	user        int
	permissions uint16
}

// list is an access control list in the kernel's form (linux/posix_acl_xattr.h): everything for the owner, what is
// granted for the users, nothing for anybody else.
func list(grants ...grant) []byte {
	const (
		version                                     = 2
		userObj, user, groupObj, mask, other uint16 = 0x01, 0x02, 0x04, 0x10, 0x20
		nothing                              uint16 = 0
		nobody                               uint32 = 0xffffffff
	)
	// the kernel wants each user once, and in order
	slices.SortFunc(grants, func(a, b grant) int { return a.user - b.user })
	grants = slices.CompactFunc(grants, func(a, b grant) bool { return a.user == b.user })
	acl := binary.LittleEndian.AppendUint32(nil, version)
	add := func(tag, permissions uint16, id uint32) {
		acl = binary.LittleEndian.AppendUint16(acl, tag)
		acl = binary.LittleEndian.AppendUint16(acl, permissions)
		acl = binary.LittleEndian.AppendUint32(acl, id)
	}
	add(userObj, permAll, nobody)
	for _, g := range grants {
		add(user, g.permissions, uint32(g.user))
	}
	add(groupObj, nothing, nobody)
	add(mask, permAll, nobody)
	add(other, nothing, nobody)
	return acl
}
