package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/observer"
)

const (
	sessionPort = 7007  // the guests' TCP sessions
	diskPort    = 10809 // the guests' network disks, NBD's own port
)

// startServices starts what the guests need outside the hosts: the observer and the server of
// network disks. Both run on their own and outlive this process.
func (l *Lab) startServices(ctx context.Context, program string) error {
	log, err := os.Create(filepath.Join(l.dir, "observer.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("nice", "-n", "-15", program, "observe", l.dir, fmt.Sprintf("%s:%d", l.Controller, sessionPort))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the observer: %w", err)
	}
	died := make(chan error, 1)
	go func() { died <- cmd.Wait() }()

	if err := os.MkdirAll(l.diskDir(), 0o755); err != nil {
		return err
	}
	_, err = run(ctx, "nbdkit", "--pidfile", filepath.Join(l.dir, "nbdkit.pid"), "--ipaddr", l.Controller.String(),
		"--port", fmt.Sprint(diskPort), "file", "dir="+l.diskDir())
	if err != nil {
		return fmt.Errorf("start the server of network disks: %w", err)
	}
	return until(ctx, func() (bool, error) {
		select {
		case err := <-died:
			text, _ := os.ReadFile(log.Name())
			return false, fmt.Errorf("the observer ended: %w: %s", err, strings.TrimSpace(string(text)))
		default:
		}
		conn, err := net.Dial("unix", l.observer.Path)
		if err == nil {
			conn.Close()
		}
		return err == nil, nil
	})
}

func (l *Lab) diskDir() string { return filepath.Join(l.dir, "nbd") }

// Observe is the life of the observer's process.
func Observe(dir, sessions string) error {
	control, err := net.Listen("unix", filepath.Join(dir, "observer.sock"))
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", sessions)
	if err != nil {
		return errors.Join(err, control.Close())
	}
	return observer.Serve(control, tcp)
}
