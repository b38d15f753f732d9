package migration

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestWaitingForAnothersDialEndsWithTheContext: one dial serves everybody, and who has no more time does not wait for
// it.
func TestWaitingForAnothersDialEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, dials := make(chan struct{}), 0
		m := newMember("alpha", HostConfig{}, func(context.Context) (daemon, error) {
			dials++
			<-release
			return nil, errors.New("no such host")
		})
		ended := make(chan error, 2)
		go func() {
			_, _, err := m.reach(t.Context(), false)
			ended <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _, err := m.reach(ctx, false)
			ended <- err
		}()
		synctest.Wait() // both wait on channels: a mutex would keep this from returning
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the second ended with %v", err)
		}
		close(release)
		if err := <-ended; err == nil || dials != 1 {
			t.Errorf("the first ended with %v after %d dials", err, dials)
		}
	})
}
