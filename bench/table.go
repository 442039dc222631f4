package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"porchlight/presence/household"
)

// verdict says whether a bound is kept.
type verdict string

const (
	kept     verdict = "ok"
	missed   verdict = "**missed**"
	reported verdict = "" // there is no bound
)

// row is one line of the table.
type row struct {
	what, measured, bound string
	verdict               verdict
}

// judge returns the verdict on a bound.
func judge(ok bool) verdict {
	if ok {
		return kept
	}
	return missed
}

// render returns the table as Markdown, with the machine named.
func render(b *bench, rows []row) string {
	var s strings.Builder
	fmt.Fprintf(&s, "\nMeasured on %s, seed %d, %s", machine(), b.seed, time.Now().Format("2006-01-02"))
	if b.quick {
		s.WriteString(" (quick: shorter than the figures are meant to be)")
	}
	s.WriteString("\n\n| figure | measured | bound | |\n|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", cell(r.what), cell(r.measured), cell(r.bound), r.verdict)
	}
	return s.String()
}

func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", "; ").Replace(s)
}

// machine names what the figures were measured on.
func machine() string {
	kernel := "unknown kernel"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%s, %d cores, %s, %s", cpuModel(), runtime.NumCPU(), kernel, runtime.Version())
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if k := strings.TrimSpace(key); k == "model name" || k == "Model" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// quantile returns the q-quantile of sorted.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return household.Quantile(sorted, q)
}

// ms writes a duration in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

// seconds writes a duration in seconds.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// times writes how many times as long as b a is.
func times(a, b time.Duration) string {
	if b == 0 {
		return "∞"
	}
	return fmt.Sprintf("%.2f ×", float64(a)/float64(b))
}

// mb writes kilobytes as megabytes.
func mb(kb int) string { return fmt.Sprintf("%.1f MB", math.Round(float64(kb)/102.4)/10) }
