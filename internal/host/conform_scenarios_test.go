package host_test

import (
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// scenario is played on a guest that runs on the first host, with a definition there.
type scenario struct {
	name string
	// busy asks for a guest whose copy takes seconds.
	busy bool
	play func(*stage)
	want string
}

var both = []host.Form{host.FormLive, host.FormConfig}

// scenarios are what the engine builds on, and no more.
var scenarios = []scenario{
	{name: "metadata of a running guest", play: func(s *stage) {
		s.metadata(0, host.FormLive)
		s.setMetadata(0, `<a b="c&amp;d"/>`, both...)
		s.setMetadata(0, `<a b="e"/>`, host.FormConfig)
		s.metadata(0, host.FormLive)
		s.metadata(0, host.FormConfig)
		s.setMetadata(0, "", host.FormLive)
		s.metadata(0, host.FormLive)
	}, want: `metadata live: no metadata
		set metadata: ok
		set metadata: ok
		metadata live: ok<a b="c&amp;d"/>
		metadata config: ok<a b="e"/>
		set metadata: ok
		metadata live: no metadata`},
	{name: "metadata under a job", play: func(s *stage) {
		s.begin()
		s.setMetadata(0, `<a/>`, host.FormLive)
		s.metadata(0, host.FormLive)
		s.confirm(true)
		s.setMetadata(0, `<a/>`, host.FormLive)
		s.look()
	}, want: `begin: ok
		set metadata: error 68
		metadata live: no metadata
		confirm: ok
		set metadata: ok
		running (unpaused) | nothing`},
	{name: "metadata of an incoming guest", play: func(s *stage) {
		s.setMetadata(0, `<a/>`, both...)
		s.begin()
		s.prepare()
		s.setMetadata(1, `<b/>`, host.FormLive)
		s.metadata(1, host.FormLive)
		s.metadata(1, host.FormConfig)
	}, want: `set metadata: ok
		begin: ok
		prepare: ok
		set metadata: error 68
		metadata live: ok<a/>
		metadata config: no metadata`},
	{name: "a move in five calls", play: func(s *stage) {
		s.setMetadata(0, `<a/>`, both...)
		s.begin()
		s.look()
		s.prepare()
		s.look()
		s.perform()
		s.look()
		s.finish(false)
		s.look()
		s.confirm(false)
		s.look()
		s.metadata(1, host.FormLive)
		s.metadata(1, host.FormConfig)
	}, want: `set metadata: ok
		begin: ok
		running (unpaused), leaving | nothing
		prepare: ok
		running (unpaused), leaving | paused (migration), arriving, transient
		perform: ok
		paused (migration), leaving | paused (migration), arriving, transient
		finish: ok
		paused (migration), leaving | running (migrated)
		confirm: ok
		nothing | running (migrated)
		metadata live: ok<a/>
		metadata config: ok<a/>`},
	{name: "a stub at the destination", play: func(s *stage) {
		s.note("define: %s", said(s.hosts[1].Define(s.ctx, s.stub())))
		s.begin()
		s.prepare()
		s.metadata(1, host.FormLive)
		s.metadata(1, host.FormConfig)
		s.perform()
		s.metadata(1, host.FormConfig)
		s.finish(false)
		s.metadata(1, host.FormConfig)
		s.confirm(false)
		s.look()
	}, want: `define: ok
		begin: ok
		prepare: ok
		metadata live: no metadata
		metadata config: ok<token/>
		perform: ok
		metadata config: ok<token/>
		finish: ok
		metadata config: no metadata
		confirm: ok
		nothing | running (migrated)`},
	{name: "a stub outlives a failure", play: func(s *stage) {
		s.note("define: %s", said(s.hosts[1].Define(s.ctx, s.stub())))
		s.begin()
		s.prepare()
		_ = s.in.Close()
		s.look()
		s.metadata(1, host.FormConfig)
	}, want: `define: ok
		begin: ok
		prepare: ok
		running (unpaused), leaving | shut off (destroyed)
		metadata config: ok<token/>`},
	{name: "closed after begin", play: func(s *stage) {
		s.begin()
		_ = s.out.Close()
		s.look()
	}, want: `begin: ok
		running (unpaused) | nothing`},
	{name: "closed after prepare", play: func(s *stage) {
		s.begin()
		s.prepare()
		_, _ = s.out.Close(), s.in.Close()
		s.look()
	}, want: `begin: ok
		prepare: ok
		running (unpaused) | nothing`},
	{name: "closed after perform", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.perform()
		_, _ = s.out.Close(), s.in.Close()
		s.look()
		s.note("resume: %s", said(s.hosts[0].Resume(s.ctx, s.dom.UUID)))
		s.look()
	}, want: `begin: ok
		prepare: ok
		perform: ok
		paused (migration) | nothing
		resume: ok
		running (unpaused) | nothing`},
	{name: "only the destination closed after perform", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.perform()
		_ = s.in.Close()
		s.look()
		s.confirm(true)
		s.look()
	}, want: `begin: ok
		prepare: ok
		perform: ok
		paused (migration), leaving | nothing
		confirm: ok
		running (migration canceled) | nothing`},
	{name: "closed after finish", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.perform()
		s.finish(false)
		_, _ = s.out.Close(), s.in.Close()
		s.look()
		s.setMetadata(0, `<a/>`, both...)
	}, want: `begin: ok
		prepare: ok
		perform: ok
		finish: ok
		paused (migration) | running (migrated)
		set metadata: ok`},
	{name: "finish cancelled", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.finish(true)
		s.look()
		s.finish(true)
		s.confirm(true)
		s.look()
	}, want: `begin: ok
		prepare: ok
		finish: error 93
		running (unpaused), leaving | nothing
		finish: no such domain
		confirm: ok
		running (unpaused) | nothing`},
	{name: "finish and confirm cancelled after perform", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.perform()
		s.finish(true)
		s.confirm(true)
		s.look()
	}, want: `begin: ok
		prepare: ok
		perform: ok
		finish: error 93
		confirm: ok
		running (migration canceled) | nothing`},
	{name: "destroyed while it waits", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.perform()
		s.note("destroy: %s", said(s.hosts[1].Destroy(s.ctx, s.dom.UUID)))
		s.finish(false)
		s.look()
	}, want: `begin: ok
		prepare: ok
		perform: ok
		destroy: ok
		finish: no such domain
		paused (migration), leaving | nothing`},
	{name: "destroyed beside a stub", play: func(s *stage) {
		s.note("define: %s", said(s.hosts[1].Define(s.ctx, s.stub())))
		s.begin()
		s.prepare()
		s.perform()
		s.note("destroy: %s", said(s.hosts[1].Destroy(s.ctx, s.dom.UUID)))
		s.finish(false)
		s.finish(true)
		s.look()
		s.metadata(1, host.FormConfig)
	}, want: `define: ok
		begin: ok
		prepare: ok
		perform: ok
		destroy: ok
		finish: error 55
		finish: error 55
		paused (migration), leaving | shut off (destroyed)
		metadata config: ok<token/>`},
	{name: "a guest without a definition", play: func(s *stage) {
		s.note("undefine: %s", said(s.hosts[0].Undefine(s.ctx, s.dom.UUID)))
		s.note("define: %s", said(s.hosts[1].Define(s.ctx, s.stub())))
		s.flags &^= host.FlagUndefineSource
		s.begin()
		s.prepare()
		s.perform()
		s.finish(false)
		s.confirm(false)
		s.look()
		s.metadata(1, host.FormConfig)
		s.note("undefine: %s", said(s.hosts[1].Undefine(s.ctx, s.dom.UUID)))
		s.look()
	}, want: `undefine: ok
		define: ok
		begin: ok
		prepare: ok
		perform: ok
		finish: ok
		confirm: ok
		nothing | running (migrated)
		metadata config: no metadata
		undefine: ok
		nothing | running (migrated), transient`},
	{name: "prepare of a guest that runs there", play: func(s *stage) {
		s.note("define: %s", said(s.hosts[1].Define(s.ctx, s.stub())))
		s.note("create: %s", said(s.hosts[1].CreatePaused(s.ctx, s.stub())))
		s.begin()
		s.prepare()
		s.confirm(true)
		s.look()
	}, want: `define: ok
		create: ok
		begin: ok
		prepare: error 55
		confirm: ok
		running (unpaused) | paused (user)`},
	{name: "abort before perform", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.note("abort: %s", said(s.hosts[0].Abort(s.ctx, s.dom.UUID)))
		s.perform()
		s.finish(true)
		s.look()
	}, want: `begin: ok
		prepare: ok
		abort: ok
		perform: error 78
		finish: error 93
		running (unpaused) | nothing`},
	{name: "abort after perform", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.perform()
		s.note("abort: %s", said(s.hosts[0].Abort(s.ctx, s.dom.UUID)))
		s.note("abort there: %s", said(s.hosts[1].Abort(s.ctx, s.dom.UUID)))
		s.look()
	}, want: `begin: ok
		prepare: ok
		perform: ok
		abort: ok
		abort there: no answer
		paused (migration), leaving | paused (migration), arriving, transient`},
	{name: "a second begin", play: func(s *stage) {
		s.begin()
		begun := s.cookie
		s.begin()
		s.cookie = begun
		s.confirm(true)
		s.note("abort: %s", said(s.hosts[0].Abort(s.ctx, s.dom.UUID)))
		s.confirm(true)
	}, want: `begin: ok
		begin: error 55
		confirm: ok
		abort: error 55
		confirm: error 55`},
	{name: "resume under a job", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.perform()
		s.note("resume: %s", said(s.hosts[0].Resume(s.ctx, s.dom.UUID)))
		s.note("resume there: %s", said(s.hosts[1].Resume(s.ctx, s.dom.UUID)))
	}, want: `begin: ok
		prepare: ok
		perform: ok
		resume: error 68
		resume there: error 68`},
	{name: "undefine of a running guest", play: func(s *stage) {
		s.note("undefine: %s", said(s.hosts[0].Undefine(s.ctx, s.dom.UUID)))
		s.look()
		s.note("undefine: %s", said(s.hosts[0].Undefine(s.ctx, s.dom.UUID)))
		s.note("autostart: %s", said(s.hosts[0].SetAutostart(s.ctx, s.dom.UUID, true)))
		s.setMetadata(0, `<a/>`, host.FormConfig)
		s.note("define: %s", said(s.hosts[0].Define(s.ctx, s.stub())))
		s.look()
	}, want: `undefine: ok
		running (unpaused), transient | nothing
		undefine: error 55
		autostart: error 55
		set metadata: error 55
		define: ok
		running (unpaused) | nothing`},
	{name: "undefine under a job", play: func(s *stage) {
		s.begin()
		s.note("undefine: %s", said(s.hosts[0].Undefine(s.ctx, s.dom.UUID)))
		s.look()
	}, want: `begin: ok
		undefine: error 68
		running (unpaused), leaving | nothing`},
	{name: "define under an incoming job", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.note("define: %s", said(s.hosts[1].Define(s.ctx, s.stub())))
		s.metadata(1, host.FormConfig)
		s.look()
	}, want: `begin: ok
		prepare: ok
		define: ok
		metadata config: ok<token/>
		running (unpaused), leaving | paused (migration), arriving`},
	{name: "a definition alone", play: func(s *stage) {
		s.note("destroy: %s", said(s.hosts[0].Destroy(s.ctx, s.dom.UUID)))
		s.look()
		s.note("destroy: %s", said(s.hosts[0].Destroy(s.ctx, s.dom.UUID)))
		s.setMetadata(0, `<a/>`, host.FormLive)
		s.setMetadata(0, `<a/>`, host.FormConfig)
		s.metadata(0, host.FormLive)
		s.metadata(0, host.FormConfig)
		s.note("undefine: %s", said(s.hosts[0].Undefine(s.ctx, s.dom.UUID)))
		s.look()
	}, want: `destroy: ok
		shut off (destroyed) | nothing
		destroy: error 55
		set metadata: error 55
		set metadata: ok
		metadata live: no metadata
		metadata config: ok<a/>
		undefine: ok
		nothing | nothing`},
	{name: "a paused guest", play: func(s *stage) {
		s.note("suspend: %s", said(s.hosts[0].Suspend(s.ctx, s.dom.UUID)))
		s.flags |= host.FlagPaused
		s.begin()
		s.prepare()
		s.perform()
		s.look()
		s.finish(false)
		s.confirm(false)
		s.look()
	}, want: `suspend: ok
		begin: ok
		prepare: ok
		perform: ok
		paused (user), leaving | paused (migration), arriving, transient
		finish: ok
		confirm: ok
		nothing | paused (user)`},
	{name: "abort of a copy", busy: true, play: func(s *stage) {
		s.begin()
		s.prepare()
		s.copying()
		s.note("abort: %s", said(s.hosts[0].Abort(s.ctx, s.dom.UUID)))
		s.performed()
		s.look()
		s.confirm(true)
	}, want: `begin: ok
		prepare: ok
		abort: ok
		perform: error 78
		running (unpaused) | nothing
		confirm: error 55`},
	{name: "a stub outlives an aborted copy", busy: true, play: func(s *stage) {
		s.note("define: %s", said(s.hosts[1].Define(s.ctx, s.stub())))
		s.begin()
		s.prepare()
		s.copying()
		s.note("abort: %s", said(s.hosts[0].Abort(s.ctx, s.dom.UUID)))
		s.performed()
		s.finish(true)
		s.look()
		s.metadata(1, host.FormConfig)
	}, want: `define: ok
		begin: ok
		prepare: ok
		abort: ok
		perform: error 78
		finish: error 1
		running (unpaused) | shut off (crashed)
		metadata config: ok<token/>`},
	{name: "the destination closed while it copies", busy: true, play: func(s *stage) {
		s.begin()
		s.prepare()
		s.copying()
		_ = s.in.Close()
		s.performed()
		s.look()
	}, want: `begin: ok
		prepare: ok
		perform: error 9
		running (unpaused) | nothing`},
	{name: "the source closed while it copies", busy: true, play: func(s *stage) {
		s.begin()
		s.prepare()
		s.copying()
		_ = s.out.Close()
		<-s.performing
		s.note("copying: %s", s.picture())
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			if state, err := s.hosts[0].State(s.ctx, s.dom.UUID); err != nil || !state.Running() {
				break
			}
		}
		s.look()
		s.finish(false)
		s.look()
	}, want: `begin: ok
		prepare: ok
		copying: running (unpaused), leaving | paused (migration), arriving, transient
		paused (migration) | paused (migration), arriving, transient
		finish: ok
		paused (migration) | running (migrated)`},
	{name: "a half moves no more", play: func(s *stage) {
		s.begin()
		s.prepare()
		s.perform()
		s.finish(false)
		_, _ = s.out.Close(), s.in.Close()
		s.look()
		s.note("destroy: %s", said(s.hosts[1].Destroy(s.ctx, s.dom.UUID)))
		s.note("undefine: %s", said(s.hosts[1].Undefine(s.ctx, s.dom.UUID)))
		s.params.MigrateURI = s.uri
		s.note("enter: %s", said(s.enter()))
		s.begin()
		s.prepare()
		s.perform()
		s.look()
		s.finish(true)
		s.look()
	}, want: `begin: ok
		prepare: ok
		perform: ok
		finish: ok
		paused (migration) | running (migrated)
		destroy: ok
		undefine: ok
		enter: ok
		begin: ok
		prepare: ok
		perform: error 1
		paused (migration) | nothing
		finish: error 1
		paused (migration) | nothing`},
	{name: "a paused guest that was sent moves once it has run", play: func(s *stage) {
		s.note("suspend: %s", said(s.hosts[0].Suspend(s.ctx, s.dom.UUID)))
		s.flags |= host.FlagPaused
		s.begin()
		s.prepare()
		s.perform()
		_, _ = s.out.Close(), s.in.Close()
		s.look()
		s.params.MigrateURI = s.uri
		s.note("enter: %s", said(s.enter()))
		s.begin()
		s.prepare()
		s.perform()
		s.look()
		s.note("resume: %s", said(s.hosts[0].Resume(s.ctx, s.dom.UUID)))
		s.note("suspend: %s", said(s.hosts[0].Suspend(s.ctx, s.dom.UUID)))
		s.params.MigrateURI = s.uri
		s.begin()
		s.prepare()
		s.perform()
		s.finish(false)
		s.confirm(false)
		s.look()
	}, want: `suspend: ok
		begin: ok
		prepare: ok
		perform: ok
		paused (user) | nothing
		enter: ok
		begin: ok
		prepare: ok
		perform: error 1
		paused (user) | nothing
		resume: ok
		suspend: ok
		begin: ok
		prepare: ok
		perform: ok
		finish: ok
		confirm: ok
		nothing | paused (user)`},
}
