package relay

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"
	"time"
)

// Pauses between tries to accept a connection, the first and the longest.
const (
	acceptPause     = 10 * time.Millisecond
	acceptPauseMost = time.Second
)

// passing are errors of accept(2) after which the listener is as good as before: this process or its host has run out
// of something for a while, or what failed was the one connection, or the network at that moment.
var passing = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EINTR, syscall.EAGAIN,
	syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP, syscall.EPERM,
	syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.ETIMEDOUT,
}

// acceptEach hands every connection to take, until the listener is closed or ctx ends. An error that passes ends
// nothing, or no broken link could be resumed after it; note hears of the first of several. What it returns is an error
// that does not pass.
func acceptEach[C net.Conn](ctx context.Context, accept func() (C, error), take func(C), note func(error)) error {
	pause := time.Duration(0)
	for {
		conn, err := accept()
		switch {
		case err == nil:
			pause = 0
			take(conn)
			continue
		case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return nil
		case !slices.ContainsFunc(passing, func(e syscall.Errno) bool { return errors.Is(err, e) }):
			return err
		}
		if pause == 0 {
			note(err)
		}
		pause = min(max(acceptPause, 2*pause), acceptPauseMost)
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil
		}
	}
}

// taking is acceptEach as both roles use it: its errors are told to the controller.
func taking[C net.Conn](ctx context.Context, r *relay, accept func() (C, error), take func(C)) {
	note := func(err error) { r.log("a connection could not be accepted, and it is tried again: %v", err) }
	if err := acceptEach(ctx, accept, take, note); err != nil {
		r.failed(err)
	}
}
