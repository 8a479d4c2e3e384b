package population_test

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"fhirkiln/bulk/bulktest/population"
)

// amounts is a benefit's money: exact amounts by category.
type amounts map[string]*big.Rat

func (a amounts) of(categories ...string) *big.Rat {
	sum := new(big.Rat)
	for _, c := range categories {
		if x := a[c]; x != nil {
			sum.Add(sum, x)
		}
	}
	return sum
}

// Totals are the sums of the items, and no cent is lost. Claim and ExplanationOfBenefit have the
// same amount submitted.
func TestMoneyAddsUp(t *testing.T) {
	t.Parallel()
	const patients = 90
	w := population.New(population.Options{Seed: 12, Patients: patients})
	claims := map[string]*big.Rat{}
	for _, line := range lines(t, open(t, w, "Claim", 0, patients)) {
		total, net := new(big.Rat), new(big.Rat)
		var id string
		mustScan(t, line, func(path, text string) {
			switch {
			case path == "/id":
				id = text
			case path == "/total/value":
				total = cents(t, text)
			case strings.HasPrefix(path, "/item/") && strings.HasSuffix(path, "/net/value"):
				net.Add(net, cents(t, text))
			}
		})
		if total.Sign() == 0 || total.Cmp(net) != 0 {
			t.Errorf("Claim %s: total %s, the items %s", id, total.FloatString(2), net.FloatString(2))
		}
		claims["Claim/"+id] = total
	}
	paid, basis, preauth := 0, 0, 0
	for _, line := range lines(t, open(t, w, "ExplanationOfBenefit", 0, patients)) {
		items, total := map[string]amounts{}, amounts{}
		var id, claim, category string
		var payment *big.Rat
		mustScan(t, line, func(path, text string) {
			part := strings.Split(path, "/")
			switch {
			case path == "/id":
				id = text
			case path == "/claim/reference":
				claim = text
			case path == "/payment/amount/value":
				payment = cents(t, text)
			case strings.HasSuffix(path, "/category/coding/0/code"):
				category = text
			case strings.HasSuffix(path, "/amount/value") && part[1] == "item":
				if items[part[2]] == nil {
					items[part[2]] = amounts{}
				}
				items[part[2]][category] = cents(t, text)
			case strings.HasSuffix(path, "/amount/value") && part[1] == "total":
				total[category] = cents(t, text)
			}
		})
		switch {
		case bytes.Contains(line, []byte(`"use":"preauthorization"`)):
			preauth++
			continue
		case bytes.Contains(line, []byte(`-Basis|2.1.0"`)):
			basis++
			if bytes.Contains(line, []byte(`"currency"`)) {
				t.Errorf("Basis %s has amounts", id)
			}
			continue
		case payment == nil: // a Basis without meta
			if len(items) > 0 || len(total) > 0 {
				t.Errorf("%s has amounts but no payment", id)
			}
			continue
		}
		paid++
		sum := amounts{}
		for sequence, a := range items {
			if x, y := a.of("submitted"), a.of("eligible", "discount", "noncovered"); x.Cmp(y) != 0 {
				t.Errorf("%s item %s: submitted %s, split into %s", id, sequence, x.FloatString(2), y.FloatString(2))
			}
			if x, y := a.of("eligible"), a.of("deductible", "copay", "coinsurance", "benefit"); x.Cmp(y) != 0 {
				t.Errorf("%s item %s: eligible %s, split into %s", id, sequence, x.FloatString(2), y.FloatString(2))
			}
			for c, x := range a {
				if x.Sign() < 0 {
					t.Errorf("%s item %s: %s is negative", id, sequence, c)
				}
				sum[c] = sum.of(c)
				sum[c].Add(sum[c], x)
			}
		}
		for c, x := range sum {
			if total.of(c).Cmp(x) != 0 {
				t.Errorf("%s: total %s is %s, the items' %s", id, c, total.of(c).FloatString(2), x.FloatString(2))
			}
		}
		if payment.Cmp(total.of("benefit")) != 0 || payment.Cmp(total.of("paidtoprovider", "paidtopatient")) != 0 {
			t.Errorf("%s: paid %s of a benefit of %s", id, payment.FloatString(2), total.of("benefit").FloatString(2))
		}
		if owed := total.of("deductible", "copay", "coinsurance", "noncovered"); owed.Cmp(total.of("memberliability")) != 0 {
			t.Errorf("%s: the member owes %s, the parts are %s", id, total.of("memberliability").FloatString(2), owed.FloatString(2))
		}
		if x := claims[claim]; x == nil || x.Cmp(total.of("submitted")) != 0 {
			t.Errorf("%s: submitted %s, but %s asks for %v", id, total.of("submitted").FloatString(2), claim, x)
		}
	}
	if paid < 200 || basis < 30 || preauth < 1 {
		t.Errorf("%d benefits with amounts, %d Basis, %d prior authorizations", paid, basis, preauth)
	}
}

// cents parses money, which always has two decimal places.
func cents(t *testing.T, text string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if dot := strings.IndexByte(text, '.'); !ok || dot != len(text)-3 {
		t.Errorf("money is %q", text)
		return new(big.Rat)
	}
	return r
}
