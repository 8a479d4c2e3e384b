package population

import "strconv"

// supportingInfo writes what CARIN's profiles require besides the items: for hospitals the
// admission, for pharmacies how the drug was dispensed.
func (s *scribe) supportingInfo(luck luck, n int) {
	d, l, b := &s.doc, &s.life, &s.life.bills[n]
	v := &l.visits[b.visit]
	info := supporting{d: d}
	d.arr("supportingInfo")
	info.begin("clmrecvddate", "Claim Received Date")
	d.date("timingDate", min(l.filed(b)+1, l.today-1))
	d.end()
	switch b.form {
	case inpatientBill:
		info.begin("admissionperiod", "Admission Period")
		d.days("timingPeriod", b.from, b.to)
		d.end()
		info.code("typeofbill", "Type of Bill", code{nubc + "TypeOfBill", "0111", ""})
		info.code("admtype", "Admission Type", code{nubc + "PriorityTypeOfAdmitOrVisit", strconv.Itoa(1 + luck.upTo(161, 3)), ""})
		info.code("pointoforigin", "Point Of Origin", code{nubc + "PointOfOrigin", "1", ""})
		info.code("discharge-status", "Discharge Status", code{nubc + "PatDischargeStatus", "01", "Discharged to home"})
		info.code("drg", "DRG", diagnosisGroup(v))
	case outpatientBill:
		info.code("typeofbill", "Type of Bill", code{nubc + "TypeOfBill", "0131", ""})
		info.begin("servicefacility", "Service Facility")
		d.ref("valueReference", organizationOf(v.place))
		d.end()
	case pharmacyBill:
		o := &l.orders[b.order]
		dr := &drugs[o.drug]
		info.quantity("dayssupply", "Days Supply", dr.days)
		info.quantity("refillnum", "Refill Number", b.fill)
		info.quantity("refillsauthorized", "Refills Authorized", o.repeats)
		brand := code{hl7 + "NCPDPBrandGenericIndicator", "2", "Generic"}
		if dr.brand {
			brand.code, brand.display = "1", "Brand"
		}
		info.code("brandgenericindicator", "Brand Generic Indicator", brand)
		info.code("dawcode", "DAW (Dispense As Written) Code", code{hl7 + "NCPDPDispensedAsWrittenOrProductSelectionCode", "0", ""})
		info.code("rxorigincode", "Rx Origin Code", code{hl7 + "NCPDPPrescriptionOriginCode", "3", "Electronic"})
		info.code("compoundcode", "Compound Code", code{hl7 + "NCPDPCompoundCode", "1", "Not a compound"})
	default:
		if luck.oneIn(162, 2) {
			info.begin("patientaccountnumber", "Patient Account Number")
			d.open("valueString")
			d.add("ACC-")
			d.addInt(l.patient*perPatient + n)
			d.shut()
			d.end()
		}
	}
	d.end()
}

// supporting numbers the elements.
type supporting struct {
	d        *doc
	sequence int
}

func (i *supporting) begin(category, text string) {
	i.sequence++
	i.d.item()
	i.d.num("sequence", i.sequence)
	i.d.codes("category", code{carin + "C4BBSupportingInfoType", category, text})
}

func (i *supporting) code(category, text string, c code) {
	i.begin(category, text)
	i.d.codes("code", c)
	i.d.end()
}

func (i *supporting) quantity(category, text string, n int) {
	i.begin(category, text)
	i.d.quantity("valueQuantity", n*10, 1, unit{})
	i.d.end()
}

// diagnosisGroup returns the MS-DRG of an admission.
func diagnosisGroup(v *visit) code {
	group := code{sysDRG, "194", "Simple pneumonia and pleurisy"}
	if v.nProcedures == 0 {
		return group
	}
	switch v.procedures[0] {
	case delivery:
		group.code, group.display = "807", "Vaginal delivery"
	case kneeReplacement:
		group.code, group.display = "470", "Major hip and knee joint replacement"
	case echocardiogram:
		group.code, group.display = "292", "Heart failure and shock"
	case coronaryIntervention:
		group.code, group.display = "322", "Percutaneous coronary intervention"
	case appendectomy:
		group.code, group.display = "399", "Appendix procedure"
	}
	return group
}
