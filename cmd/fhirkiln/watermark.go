package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"fhirkiln/config"
	"fhirkiln/pipeline/lake"
	"fhirkiln/pipeline/ledger"
	"fhirkiln/setup"
)

type watermarkCommand struct {
	Show watermarkShowCommand `cmd:"" help:"Show up to when each resource type is published."`
	Set  watermarkSetCommand  `cmd:"" help:"Move a watermark by hand, usually back, to export again."`
}

type watermarkShowCommand struct {
	feedFlags
	History int  `default:"10" placeholder:"N" help:"How many of the latest moves to show, 0 for none. Default: 10."`
	JSON    bool `name:"json" help:"Print it as JSON, one line per feed, with all of the history that is kept."`
}

// Help is shown by fhirkiln watermark show --help.
func (watermarkShowCommand) Help() string {
	return `The watermark of a resource type is the transactionTime of its last published export in which nothing was
missing. The next run asks for what has changed since then (_since). "all types" stands for the types of a feed
that names none. A type without a watermark is exported in full. The last successful run is shown even if it
found nothing new and moved no watermark. If a run is unfinished, the last run failed, or a process is working
on the feed, that is shown, too.`
}

// shownFeed is a feed's watermark as JSON.
type shownFeed struct {
	Feed       string           `json:"feed"`
	Source     string           `json:"source,omitempty"`
	Full       *time.Time       `json:"full,omitempty"` // start of the last full export
	Unfinished *shownUnfinished `json:"unfinished,omitempty"`
	Failure    *shownFailure    `json:"last_failure,omitempty"`
	Success    *shownSuccess    `json:"last_success,omitempty"`
	AtWork     *shownHolder     `json:"at_work,omitempty"`
	Watermarks []shownWatermark `json:"watermarks"`
	History    []shownMove      `json:"history"`
}

type shownWatermark struct {
	Type string `json:"type"` // "*" means all types
	Time string `json:"time"` // "" means none: the type is exported in full
	Age  int64  `json:"age_seconds"`
	Run  string `json:"run,omitempty"` // the run that published up to there; "" if set by hand
}

type shownUnfinished struct {
	Run       string    `json:"run"`
	Started   time.Time `json:"started"`
	Processes int       `json:"attempts"` // processes that have worked on it
}

// shownFailure is the last run, if it failed.
type shownFailure struct {
	At       time.Time `json:"at"`
	Run      string    `json:"run,omitempty"`
	Error    string    `json:"error"`
	Failures int       `json:"failures"` // in a row
}

// shownSuccess is the last run that published or found nothing new.
type shownSuccess struct {
	At  time.Time `json:"at"`
	Run string    `json:"run"`
	Age int64     `json:"age_seconds"`
}

// shownHolder is the process that last recorded that it works on the feed. Only taking the
// lease tells whether it is alive.
type shownHolder struct {
	Holder string    `json:"holder"`
	Since  time.Time `json:"since"`
}

type shownMove struct {
	lake.MoveReport
	At  time.Time `json:"at"`
	By  ledger.By `json:"by"` // run or set
	Run string    `json:"run,omitempty"`
}

// Run implements the command watermark show.
func (cmd *watermarkShowCommand) Run(ctx context.Context, line *cli, c console) error {
	if cmd.History < 0 {
		return &usageError{error: fmt.Errorf("--history must be at least 0, not %d", cmd.History)}
	}
	cfg, err := loadConfig(config.LoadPlaces, cmd.Config, c)
	if err != nil {
		return err
	}
	feeds, err := cmd.choose(cfg)
	if err != nil {
		return err
	}
	ui := newUI(c, line, cfg.Log.Format, cfg.Log.Level)
	defer ui.close()
	state, err := setup.ReadPlace(ctx, cfg.State.URL, cfg.State.S3, c.options(ui.log))
	if errors.Is(err, fs.ErrNotExist) {
		state, err = nil, nil // a folder that nothing was published to yet
	}
	if err != nil {
		return err
	}
	if state != nil {
		defer state.Close()
	}
	now := time.Now()
	for i, feed := range feeds {
		f, err := ledger.Feed{Name: feed.Name}, error(nil)
		if state != nil {
			f, err = ledger.Read(ctx, state, feed.Name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f.Name = feed.Name
		shown := showFeed(f, now)
		if cmd.JSON {
			if err := ui.printJSON(shown); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			ui.printf("\n")
		}
		ui.printf("%s", cmd.text(shown, now))
	}
	return nil
}

func showFeed(f ledger.Feed, now time.Time) shownFeed {
	s := shownFeed{Feed: f.Name, Source: f.Source, Watermarks: []shownWatermark{}, History: []shownMove{}}
	if !f.Full.IsZero() {
		s.Full = &f.Full
	}
	if u := f.Unfinished; u != nil {
		s.Unfinished = &shownUnfinished{u.Run, u.Started, u.Processes}
	}
	s.Failure = showFailure(f.LastFailure)
	if l := f.LastSuccess; l != nil {
		s.Success = &shownSuccess{l.At, l.Run, int64(now.Sub(l.At).Seconds())}
	}
	if l := f.Lease; l != nil {
		s.AtWork = &shownHolder{l.Holder, l.Since}
	}
	for _, t := range slices.Sorted(maps.Keys(f.Watermarks)) {
		w := f.Watermarks[t]
		shown := shownWatermark{Type: t, Time: w.Time, Run: w.Run}
		if at, err := time.Parse(time.RFC3339Nano, w.Time); err == nil {
			shown.Age = int64(now.Sub(at).Seconds())
		}
		s.Watermarks = append(s.Watermarks, shown)
	}
	for _, m := range f.History {
		s.History = append(s.History, shownMove{lake.MoveReport{Type: m.Type, From: m.From, To: m.To}, m.At, m.By, m.Run})
	}
	return s
}

// text returns a feed's watermark for people.
func (cmd *watermarkShowCommand) text(f shownFeed, now time.Time) string {
	var b strings.Builder
	if len(f.Watermarks) == 0 {
		fmt.Fprintf(&b, "%s: no watermark; the next run exports everything\n", f.Feed)
	} else {
		fmt.Fprintf(&b, "%s (source %s)\n", f.Feed, f.Source)
		w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
		fmt.Fprintln(w, "type\tpublished up to\tage\tby")
		for _, m := range f.Watermarks {
			at, age := m.Time, ageText(time.Duration(m.Age)*time.Second)
			if at == "" {
				at, age = "none (in full)", "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", typesText([]string{m.Type}), at, age, cmp.Or(m.Run, "hand"))
		}
		w.Flush()
	}
	if f.Full != nil {
		fmt.Fprintf(&b, "last full export: %s, %s ago\n", f.Full.UTC().Format(time.RFC3339), ageText(now.Sub(*f.Full)))
	}
	if l := f.Success; l != nil {
		fmt.Fprintf(&b, "last successful run: %s, %s ago (%s)\n", l.At.UTC().Format(time.RFC3339), ageText(now.Sub(l.At)), l.Run)
	}
	if u := f.Unfinished; u != nil {
		fmt.Fprintf(&b, "unfinished: run %s, started %s, %s\n", u.Run, u.Started.UTC().Format(time.RFC3339), amount(u.Processes, "attempt"))
	}
	b.WriteString(f.Failure.line())
	if l := f.AtWork; l != nil {
		fmt.Fprintf(&b, "at work: %s since %s; if it was killed, the next run takes over\n", l.Holder, l.Since.UTC().Format(time.RFC3339))
	}
	latest := f.History[max(len(f.History)-cmd.History, 0):]
	if len(latest) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "history, the latest %d of %d:\n", len(latest), len(f.History))
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, m := range slices.Backward(latest) {
		fmt.Fprintf(w, "  %s\t%s\t%s\t->\t%s\t%s\n", m.At.UTC().Format(time.RFC3339), typesText([]string{m.Type}),
			cmp.Or(m.From, "none"), cmp.Or(m.To, "none"), cmp.Or(m.Run, "by hand"))
	}
	w.Flush()
	return b.String()
}

func showFailure(f *ledger.Failure) *shownFailure {
	if f == nil {
		return nil
	}
	return &shownFailure{f.At, f.Run, f.Error, f.Failures}
}

// line says for people how the last run failed, "" if f is nil.
func (f *shownFailure) line() string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("last run failed %s (%d in a row): %s\n", f.At.UTC().Format(time.RFC3339), f.Failures, strings.ReplaceAll(f.Error, "\n", "; "))
}

// ageText formats a duration for people, with its two largest units.
func ageText(d time.Duration) string {
	switch d = max(d, 0).Truncate(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}
