package migration

import (
	"context"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// truthLab shapes the link, so that the copy takes seconds and five percent of it can be told from
// noise, and gives both hosts processors of their own.
func truthLab(t *testing.T, megabits int) *lab.Lab {
	l := labtest.Lab(t)
	ctx := labtest.Context(t, 5*time.Minute)
	if err := l.Shape(ctx, megabits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Shape(context.Background(), 0); err != nil {
			t.Error(err)
		}
	})
	for name, idle := range truthIdle {
		stop, err := l.Host(name).FakeCPU(ctx, idle)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
	return l
}

var truthIdle = map[string]float64{"alpha": 0.6, "beta": 0.3}

// witnessed moves a fresh guest from alpha to beta, with witnesses around it.
func witnessed(t *testing.T, l *lab.Lab, control Control, delay, skew time.Duration) (*Result, witness) {
	t.Helper()
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 128, DirtyMiBPerSecond: 4})
	f := labFleet(t, l)
	lengthened(f, delay)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	since := time.Now()
	stopLink, stopJobs := busyLink(t, alpha), liveJobs(t, alpha, g.Name)
	begin := time.Now()
	o, err := f.Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Control: control, ParallelConnections: 3}})
	clock := time.Since(begin)
	copyMS, sent := stopLink()
	dirtyRates := stopJobs()
	if err != nil {
		t.Fatal(err)
	}
	labtest.MustRun(t, g, "beta")
	gap, err := g.SwitchoverGap(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	w := witness{
		clockMS: float64(clock.Milliseconds()), copyMS: copyMS, sentBytes: sent, gapMS: float64(gap.Length.Milliseconds()),
		virsh: virshJob(t, beta, g.Name), idle: map[string]float64{}, skewMS: float64(skew.Milliseconds()), connections: 3, cpus: 2,
		dirtyRates: dirtyRates, lengthened: delay > 0,
	}
	for name, idle := range truthIdle {
		w.idle[name] = 100 * idle
	}
	text, _ := json.Marshal(o.Result)
	t.Logf("result %s\nwitness %+v", text, w)
	return o.Result, w
}

func TestFiguresAreTrue(t *testing.T) {
	l := truthLab(t, 400)
	for _, control := range []Control{ControlController, ControlPeerToPeer} {
		t.Run(string(control), func(t *testing.T) {
			var downtimes, over []float64
			// the median of three; on a machine that hiccups, of five
			for i := 0; i < 3 || i < 5 && !within80(over); i++ {
				r, w := witnessed(t, l, control, 0, 0)
				if wrong := checkTruth(r, w); len(wrong) > 0 {
					t.Errorf("not true:\n%s", strings.Join(wrong, "\n"))
				}
				if r.DowntimeMS != nil {
					downtimes = append(downtimes, float64(*r.DowntimeMS))
					over = append(over, w.over(r))
				}
			}
			slices.Sort(downtimes)
			if len(over) < 3 || !within80(over) {
				t.Errorf("silence beyond the downtime: %v ms, want a median of 0 to 80", over)
			}
			if control != ControlController || len(downtimes) < 3 {
				return
			}
			// a switchover one second longer, and what a reporter that adds 20 % would say of it
			r, w := witnessed(t, l, control, time.Second, 0)
			for tries := 1; tries < 4 && r.DowntimeMS != nil && w.over(r) > 150; tries++ {
				r, w = witnessed(t, l, control, time.Second, 0) // the guest hiccupped, and would hide a lie
			}
			if wrong := checkTruth(r, w); len(wrong) > 0 {
				t.Errorf("with a long switchover, not true:\n%s", strings.Join(wrong, "\n"))
			}
			noise := downtimes[len(downtimes)-1] - downtimes[0]
			if r.DowntimeMS == nil || math.Abs(float64(*r.DowntimeMS)-median(downtimes)-1000) > 100+noise {
				t.Errorf("downtime %v with one second more, %v without", r.DowntimeMS, downtimes)
			}
			catchMutants(t, r, w)
		})
	}
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// within80 says whether the guest's silence exceeds the reported downtime by no more than its beats and the
// start of its QEMU explain, as a median.
func within80(over []float64) bool {
	return len(over) > 0 && median(over) >= 0 && median(over) <= 80
}

// catchMutants adds 20 % to every figure in turn, and wants each lie to be noticed.
func catchMutants(t *testing.T, r *Result, w witness) {
	t.Helper()
	caught := 0
	var mutate func(path string, v reflect.Value)
	mutate = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range v.NumField() {
				tag := v.Type().Field(i).Tag.Get("json")
				mutate(strings.Trim(path+"."+tag, "."), v.Field(i))
			}
			return
		case reflect.Pointer:
			if !v.IsNil() {
				mutate(path, v.Elem())
			}
			return
		}
		honest := reflect.New(v.Type()).Elem()
		honest.Set(v)
		switch {
		case path == "clock_skew_ms": // nothing to add to: the hosts share a clock here
			return
		case v.Kind() == reflect.Int64 && v.Type() == reflect.TypeFor[int64]():
			v.SetInt(int64(math.Ceil(float64(v.Int()) * 1.2)))
		case v.Kind() == reflect.Float64:
			v.SetFloat(v.Float() * 1.2)
		default:
			return
		}
		if len(checkTruth(r, w)) == 0 {
			t.Errorf("nobody noticed 20 %% more of %s", path)
		}
		caught++
		v.Set(honest)
	}
	mutate("", reflect.ValueOf(r).Elem())
	if caught < 20 {
		t.Errorf("only %d figures were tried", caught)
	}
}

// TestFiguresStayTrueWithAClockOff puts the clock of the destination's daemon 7 s off, in both directions.
func TestFiguresStayTrueWithAClockOff(t *testing.T) {
	l := truthLab(t, 160) // libvirt has no elapsed time for a job shorter than the clocks are apart
	for _, off := range []time.Duration{7 * time.Second, -7 * time.Second} {
		for _, control := range []Control{ControlController, ControlPeerToPeer} {
			t.Run(off.String()+"_"+string(control), func(t *testing.T) {
				ctx := labtest.Context(t, 2*time.Minute)
				if err := l.Host("beta").ShiftClock(ctx, off); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := l.Host("beta").ShiftClock(context.Background(), 0); err != nil {
						t.Error(err)
					}
				})
				r, w := witnessed(t, l, control, 0, off)
				wrong := checkTruth(r, w)
				if off < 0 && control == ControlPeerToPeer { // then the two daemons keep it to themselves
					wrong = slices.DeleteFunc(wrong, func(s string) bool { return strings.HasPrefix(s, "clock_skew_ms is missing") })
				}
				if len(wrong) > 0 {
					t.Errorf("not true:\n%s", strings.Join(wrong, "\n"))
				}
			})
		}
	}
}
