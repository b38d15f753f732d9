package host

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"testing"
)

// What is answered to calls that these tests do not look at.
var (
	aPool   = slices.Concat(text("virtmigrate-pool"), []byte("0123456789abcdef"))
	noPools = slices.Concat(word(0), word(0))
)

// germanPeer is a daemon that speaks German. answers are by procedure, and each may be called more than once.
func germanPeer(t *testing.T, answers map[uint32]func(c *peerConn, call header)) (*Host, func(procedure uint32) int) {
	t.Helper()
	var mu sync.Mutex
	calls := map[uint32]int{}
	p := listen(t, func(p *peer) {
		p.answer = func(c *peerConn, call header, _ []byte) {
			mu.Lock()
			calls[call.procedure]++
			mu.Unlock()
			if answer := answers[call.procedure]; answer != nil {
				answer(c, call)
				return
			}
			c.fail(call, CodeInternal, "Interner Fehler: damit war nicht zu rechnen")
		}
	})
	return p.mustReach(), func(procedure uint32) int {
		mu.Lock()
		defer mu.Unlock()
		return calls[procedure]
	}
}

func replying(payload []byte) func(*peerConn, header) {
	return func(c *peerConn, call header) { c.reply(call, payload) }
}

// Procedures of storage pools.
const (
	procPoolCreate   = 76
	procPoolDestroy  = 80
	procPoolDelete   = 81
	procPoolUndefine = 82
	procPoolByName   = 84
	procPoolActive   = 154
	procPools        = 281
	procJob          = 298
	procBegin        = 302
	procPerform      = 305
	procPoolByTarget = 391
)

func missing(c *peerConn, call header) {
	c.failSystem(call, linuxENOENT, "Verzeichnis »/images« ist nicht zu öffnen: Datei oder Verzeichnis nicht gefunden")
}

func TestAFolderThatIsNotThereInGerman(t *testing.T) {
	h, _ := germanPeer(t, map[uint32]func(*peerConn, header){
		procPoolByTarget: func(c *peerConn, call header) { c.fail(call, CodeNoPool, "Speicherpool nicht gefunden") },
		procPoolCreate:   missing,
		procPools:        replying(noPools),
	})
	if _, err := h.Folder(t.Context(), "/images", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestAFolderThatMayNotBeLookedIntoInGerman(t *testing.T) {
	h, _ := germanPeer(t, map[uint32]func(*peerConn, header){
		procPoolByTarget: func(c *peerConn, call header) { c.fail(call, CodeNoPool, "Speicherpool nicht gefunden") },
		procPoolCreate:   func(c *peerConn, call header) { c.failSystem(call, 13, "»/images«: Keine Berechtigung") },
		procPools:        replying(noPools),
	})
	if _, err := h.Folder(t.Context(), "/images", false); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestAPrivateFolderThatIsGoneInGerman(t *testing.T) {
	h, calls := germanPeer(t, map[uint32]func(*peerConn, header){
		procPoolByName: replying(aPool), procPoolActive: replying(word(0)),
		procPoolDelete: missing, procPoolUndefine: replying(nil),
	})
	if err := h.dropFolder(t.Context(), "virtmigrate-pool"); err != nil || calls(procPoolUndefine) != 1 {
		t.Errorf("forgotten %d times, error %v", calls(procPoolUndefine), err)
	}
}

func TestABusyPoolInGerman(t *testing.T) {
	tries := 0
	h, _ := germanPeer(t, map[uint32]func(*peerConn, header){
		procPoolByName: replying(aPool),
		procPoolDestroy: func(c *peerConn, call header) {
			if tries++; tries < 3 {
				c.fail(call, CodeInternal, "Interner Fehler: Pool »virtmigrate-pool« hat laufende asynchrone Aufträge.")
				return
			}
			c.reply(call, nil)
		},
	})
	if err := h.dropPool(t.Context(), "virtmigrate-pool"); err != nil || tries != 3 {
		t.Errorf("%d tries, error %v", tries, err)
	}
}

func TestAPoolThatFailsInGermanIsNotTriedAgain(t *testing.T) {
	h, calls := germanPeer(t, map[uint32]func(*peerConn, header){procPoolByName: replying(aPool)})
	if err := h.dropPool(t.Context(), "virtmigrate-pool"); Code(err) != CodeInternal || calls(procPoolDestroy) != 1 {
		t.Errorf("%d tries, error %v", calls(procPoolDestroy), err)
	}
}

// TestAnEarlierMigrationInGerman: both ways to begin one tell that another goes on, and do not take every refusal for
// that.
func TestAnEarlierMigrationInGerman(t *testing.T) {
	refuse := func(c *peerConn, call header) {
		c.fail(call, CodeOperationInvalid, "Operation ist nicht gültig: ein anderer Migrationsauftrag läuft bereits")
	}
	job := func(kind uint32) []byte { // one without figures, of that operation
		return slices.Concat(word(2), word(1), text("operation"), word(1), word(kind))
	}
	for name, c := range map[string]struct {
		job     []byte
		earlier bool
	}{
		"another migration": {job(5), true},
		"a snapshot":        {job(6), false},
		"none":              {slices.Concat(word(0), word(0)), false},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := germanPeer(t, map[uint32]func(*peerConn, header){
				procBegin: refuse, procPerform: refuse, procJob: replying(c.job),
			})
			s, err := h.Session(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			dom := DomainID{Name: "web", UUID: "6f6b1b8e-3c5b-4b6e-9d0a-0f3c2b1a0d9e", ID: 3}
			_, _, begin := s.Begin(context.Background(), dom, Params{}, 0)
			perform := s.PerformPeerToPeer(context.Background(), dom, "qemu+tls://beta/system", Params{}, 0)
			for _, err := range []error{begin, perform} {
				if errors.Is(err, ErrEarlierJob) != c.earlier || Code(err) != CodeOperationInvalid {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

func TestARefusedConnectionInGerman(t *testing.T) {
	for errno, refused := range map[uint32]bool{linuxECONNREFUSED: true, linuxENOENT: false, 104: false} {
		h, _ := germanPeer(t, map[uint32]func(*peerConn, header){
			procPools: func(c *peerConn, call header) { c.failSystem(call, errno, "keine Verbindung zum Server: Fehler") },
		})
		if _, err := h.Pools(t.Context()); NotConnected(err) != refused || Code(err) != CodeSystem {
			t.Errorf("errno %d: %v", errno, err)
		}
	}
}

// TestTheWordsOfAnEnglishDaemonAreKnown, beside what tells in every language.
func TestTheWordsOfAnEnglishDaemonAreKnown(t *testing.T) {
	for _, c := range []struct {
		code  uint32
		words string
		is    error
	}{
		{CodeOperationInvalid, "not valid: another migration job is already running for domain 'web'", ErrEarlierJob},
		{CodeInternal, "internal error: pool 'default' has asynchronous jobs running.", errPoolBusy},
		{CodeOperationInvalid, "Requested operation is not valid: domain is not running", nil},
		{CodeInternal, "internal error: another migration job is already running", nil},
	} {
		if got := meaning(c.code, c.words); got != c.is {
			t.Errorf("%d, %q: %v", c.code, c.words, got)
		}
	}
}
