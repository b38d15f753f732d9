package lab

import (
	"errors"
	"os"
)

// userfaultfd is the kernel's permission for processes that are not root to handle their own page faults, which a
// QEMU needs that fetches its memory. It holds for the whole machine.
const userfaultfd = "/proc/sys/vm/unprivileged_userfaultfd"

// ErrNoPostCopy says that this machine does not let anybody change the permission.
var ErrNoPostCopy = errors.New("this machine does not permit post-copy")

// AllowPostCopy permits post-copy migrations, or forbids them, until undo is called. The permission is the
// kernel's, and so that of everything on the machine.
func (l *Lab) AllowPostCopy(allow bool) (undo func() error, err error) {
	former, err := os.ReadFile(userfaultfd)
	if err != nil {
		return nil, errors.Join(ErrNoPostCopy, err)
	}
	value := "0"
	if allow {
		value = "1"
	}
	if err := os.WriteFile(userfaultfd, []byte(value), 0o644); err != nil {
		return nil, errors.Join(ErrNoPostCopy, err)
	}
	return func() error { return os.WriteFile(userfaultfd, former, 0o644) }, nil
}
