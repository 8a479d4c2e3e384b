package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fhirkiln/bulk/bulktest"
	"fhirkiln/bulk/bulktest/population"
	"fhirkiln/pipeline/lake"
)

// whole measures what a user waits for.
func whole(ctx context.Context, b *bench) ([]result, error) {
	wall, parts, err := b.wholeWay(ctx)
	results := []result{atMost(ofTheWhole, "the whole way on loopback, a day's mix; CPU time of its parts ÷ cores", milliseconds(wall), milliseconds(parts), wall.Seconds()/parts.Seconds(), 1.25).orFails(err)}
	more, err := b.smallest(ctx)
	return append(results, more...), err
}

// wholeWay returns the wall time of a run against a server in this process, and the CPU time of
// its parts divided by the number of cores.
func (b *bench) wholeWay(ctx context.Context) (wall, parts time.Duration, err error) {
	const cores = 2
	mix, err := b.mix(ctx, b.mb)
	if err != nil {
		return 0, 0, err
	}
	data, err := bulktest.Folder(filepath.Dir(mix.files[0].path))
	if err != nil {
		return 0, 0, err
	}
	server, err := bulktest.NewServer(bulktest.Options{Data: data})
	if err != nil {
		return 0, 0, err
	}
	defer server.Close()
	all, err := b.inTurn(ctx,
		func() (usage, error) {
			folder, err := b.configured(server, "lake", 4)
			if err != nil {
				return usage{}, err
			}
			u, _, err := b.runFeeds(ctx, folder, cores)
			return u, err
		},
		func() (usage, error) {
			start := cpuTime()
			err := toNowhere(ctx, server, mix.bytes)
			return usage{cpu: cpuTime() - start}, err
		},
		func() (usage, error) {
			u, _, err := b.convert(ctx, "lake", cores, mix.paths()...)
			return u, err
		})
	if err != nil {
		return 0, 0, err
	}
	var times [3][]time.Duration
	for n := range b.runs {
		times[0] = append(times[0], all[0][n].wall)
		times[1] = append(times[1], all[1][n].cpu)
		times[2] = append(times[2], all[2][n].cpu)
	}
	return median(times[0]), (median(times[1]) + median(times[2])) / cores, nil
}

// smallest measures commands that have next to nothing to do.
func (b *bench) smallest(ctx context.Context) ([]result, error) {
	files := slices.Clone(population.New(population.Options{Seed: seed, Patients: 20}).Files())
	for i := range files { // including resources that do not say when they changed
		files[i].Changed = func([]byte) time.Time { return population.DefaultEnd }
	}
	server, err := bulktest.NewServer(bulktest.Options{Data: bulktest.Files(files)})
	if err != nil {
		return nil, err
	}
	defer server.Close()
	folder, err := b.configured(server, "lake", 4)
	if err != nil {
		return nil, err
	}
	if _, _, err := b.runFeeds(ctx, folder, 2); err != nil { // after this run, nothing is new
		return nil, err
	}
	resources := int64(0)
	all, err := b.inTurn(ctx,
		func() (usage, error) {
			u, _, err := measure(exec.CommandContext(ctx, b.bin, "--help"), 2)
			return u, err
		},
		func() (usage, error) {
			u, report, err := b.runFeeds(ctx, folder, 2)
			if report != nil {
				resources = report.Resources
			}
			return u, err
		})
	if err != nil {
		return nil, err
	}
	if resources > 0 {
		return nil, fmt.Errorf("a night with nothing new had %d resources", resources)
	}
	var help, night []time.Duration
	for n := range b.runs {
		help, night = append(help, all[0][n].wall), append(night, all[1][n].wall)
	}
	return []result{
		within(ofStarting, "fhirkiln --help", milliseconds(median(help)), "< 30 ms", median(help).Seconds(), 0.030),
		within(ofStarting, "a nightly run with nothing new, on loopback", milliseconds(median(night)), "< 500 ms", median(night).Seconds(), 0.500),
	}, nil
}

func (b *bench) runFeeds(ctx context.Context, folder string, cores int) (usage, *lake.Report, error) {
	cmd := exec.CommandContext(ctx, b.bin, "run", "--json", "--progress", "off")
	cmd.Dir = folder
	u, out, err := measure(cmd, cores)
	if err != nil {
		return u, nil, err
	}
	var report lake.Report
	err = json.Unmarshal(out, &report)
	return u, &report, err
}

// toNowhere makes the same requests to the server as a run and discards the files, which must
// have size bytes in total.
func toNowhere(ctx context.Context, server *bulktest.Server, size int64) error {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {bulktest.DefaultClientID},
		"client_secret": {bulktest.DefaultClientSecret}, "scope": {bulktest.DefaultScope}}
	var token struct {
		Value string `json:"access_token"`
	}
	if _, _, err := ask(ctx, http.MethodPost, server.TokenURL(), form, "", &token); err != nil {
		return err
	}
	_, kickOff, err := ask(ctx, http.MethodGet, server.FHIR()+"/$export", nil, token.Value, nil)
	if err != nil {
		return err
	}
	var manifest struct {
		Output []struct{ URL string }
	}
	for status := kickOff.Get("Content-Location"); len(manifest.Output) == 0; {
		code, _, err := ask(ctx, http.MethodGet, status, nil, token.Value, &manifest)
		if err != nil {
			return err
		}
		if code == http.StatusAccepted {
			time.Sleep(10 * time.Millisecond)
		}
	}
	for _, f := range manifest.Output {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token.Value)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if err != nil {
			return err
		}
		size -= n
	}
	if size != 0 {
		return fmt.Errorf("the server's files are %d bytes too short", size)
	}
	return nil
}

// ask sends a request and, if the status is 200, decodes the JSON body into to.
func ask(ctx context.Context, method, target string, form url.Values, token string, to any) (code int, h http.Header, err error) {
	request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Prefer", "respond-async")
		request.Header.Set("Accept", "application/fhir+json, application/json")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return 0, nil, err
	case answer.StatusCode/100 != 2:
		return 0, nil, fmt.Errorf("%s %s: %s", method, request.URL.Path, answer.Status)
	case answer.StatusCode == http.StatusOK && to != nil:
		err = json.Unmarshal(body, to)
	}
	return answer.StatusCode, answer.Header, err
}
