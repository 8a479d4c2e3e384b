package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Planted values: secrets, which only their addressees may see, and a patient. A run must not
// write any of them outside its state.
const (
	plantedSecret  = "sEcReT/planted+1"
	plantedToken   = "STATICplanted2"
	plantedRefresh = "REFRESHplanted3"
	plantedCode    = "CODEplanted4"
	plantedMinted  = "MINTEDplanted" // begins every token, refresh token and code that is issued
	plantedSign    = "SIGplanted5"
	plantedJWT     = "eyJhbGciOiJIUzI1NiJ9.cGxhbnRlZDY.c2lnbmF0dXJl"
	plantedCookie  = "COOKIEplanted7"
	plantedProxy   = "PROXYplanted8"
	plantedUser    = "user-planted-9" // app_user_id
	plantedGateway = "GATEWAYplanted10"

	plantedFamily = "Zbigniewska"
	plantedGiven  = "Ottilia"
	plantedMRN    = "MRN-7731-4482"
	plantedBirth  = "1931-07-14"
)

// plants maps names to the planted values.
var plants = map[string]string{
	"client secret": plantedSecret, "static token": plantedToken, "refresh token": plantedRefresh, "code": plantedCode,
	"minted": plantedMinted, "signature": plantedSign, "JWT": plantedJWT, "cookie": plantedCookie, "proxy password": plantedProxy,
	"app_user_id": plantedUser, "gateway's key": plantedGateway, "family name": plantedFamily, "given name": plantedGiven, "record number": plantedMRN, "birth date": plantedBirth,
}

// patientWords is a patient as servers put one into messages.
const patientWords = plantedFamily + ", " + plantedGiven + " (" + plantedMRN + ", born " + plantedBirth + ")"

// visit is one request as a host saw it.
type visit struct {
	host, asked, method, url string
	header                   http.Header
	body                     string
	credentials              []string // sorted
}

func newVisit(host string, r *http.Request) visit {
	body, _ := io.ReadAll(r.Body)
	v := visit{host: host, asked: asked(r), method: r.Method, url: r.URL.String(), header: r.Header.Clone(), body: string(body)}
	v.credentials = v.find(r.TLS != nil && len(r.TLS.PeerCertificates) > 0)
	return v
}

// text returns the request as a server may repeat it.
func (v visit) text() string { return fmt.Sprint(v.method, v.url, v.header, v.body) }

// find lists everything in a request that identifies the client: every header not known to be
// harmless, every private form field, every secret wherever it is.
func (v visit) find(certificate bool) []string {
	var found []string
	if certificate {
		found = append(found, "certificate")
	}
	for name, values := range v.header {
		switch name {
		case "Accept", "Accept-Encoding", "User-Agent", "Prefer", "Cache-Control", "Content-Type", "Content-Length", "Range", "If-Range", "Connection":
			continue
		case "Referer":
			found = append(found, "header Referer")
			continue
		}
		value := strings.Join(values, ",")
		if basic, ok := strings.CutPrefix(value, "Basic "); ok {
			if plain, err := base64.StdEncoding.DecodeString(basic); err == nil {
				value, _ = url.QueryUnescape(string(plain))
				name += " (Basic)"
			}
		}
		found = append(found, "header "+name+": "+whatIs(value))
	}
	form, err := url.ParseQuery(v.body)
	if err == nil && strings.HasPrefix(v.header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		for name, values := range form {
			if name != "grant_type" && name != "scope" && name != "client_assertion_type" {
				found = append(found, "form "+name+": "+whatIs(values[0]))
			}
		}
	}
	u, _ := url.Parse(v.url)
	for name, plant := range plants {
		own := name != "signature" && name != "JWT" && name != "record number" && name != "family name" && name != "given name" && name != "birth date"
		if own && (strings.Contains(u.Path, plant) || strings.Contains(u.Query().Encode(), url.QueryEscape(plant))) {
			found = append(found, "URL: "+name)
		}
	}
	slices.Sort(found)
	return found
}

// whatIs names a planted value.
func whatIs(value string) string {
	value = strings.TrimPrefix(value, "Bearer ")
	for name, plant := range plants {
		if strings.HasPrefix(value, plant) || name == "client secret" && strings.HasSuffix(value, ":"+plant) || name == "proxy password" && value == "me:"+plant {
			return name
		}
	}
	if strings.Count(value, ".") == 2 && strings.HasPrefix(value, "eyJ") {
		return "assertion"
	}
	return value
}
