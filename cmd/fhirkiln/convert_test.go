package main

import "testing"

func TestPercent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]percent{"0%": 0, "0.1%": 0.001, "5%": 0.05, "100%": 1} {
		var p percent
		if err := p.UnmarshalText([]byte(text)); err != nil || p != want {
			t.Errorf("%q: %v, %v, want %v", text, p, err, want)
		}
	}
	for _, text := range []string{"", "%", "5", "5%abc", "5%%", "5 %", "-1%", "100.1%", "NaN%", "Inf%", "-Inf%", "1e999%"} {
		var p percent
		if err := p.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted as %v", text, p)
		}
	}
}
