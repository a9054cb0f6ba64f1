<#macro text v><#if v?is_string><#if v?has_content>"${v?json_string}"<#else>null</#if><#elseif v?is_number>"${v?c}"<#elseif v?is_boolean>"${v?c}"<#else>null</#if></#macro>
<#macro cents v><#if v?is_number>${v?c}<#elseif v?is_string && v?has_content>"${v?json_string}"<#else>null</#if></#macro>
<#macro flag v><#if v?is_boolean>${v?c}<#elseif v?is_string && v?has_content>"${v?json_string}"<#else>null</#if></#macro>
<#if addHeader!true>{"k":"B","v":1}
</#if>
<#list reports as report>
{"k":"R","reportID":<@text (report.reportID)!"" />,"reportName":<@text (report.reportName)!"" />,"status":<@text (report.status)!"" />,"state":<@text (report.state)!"" />,"policyID":<@text (report.policyID)!"" />,"accountEmail":<@text (report.accountEmail)!"" />,"submitterName":<@text (report.submitter.fullName)!"" />,"submitterUserID":<@text (report.submitterUserID)!"" />,"currency":<@text (report.currency)!"" />,"total":<@cents (report.total)!"" />,"created":<@text (report.created)!"" />,"submitted":<@text (report.submitted)!"" />,"approved":<@text (report.approved)!"" />,"reimbursed":<@text (report.reimbursed)!"" />}
<#list (report.transactionList)![] as expense>
{"k":"E","reportID":<@text (report.reportID)!"" />,"transactionID":<@text (expense.transactionID)!"" />,"merchant":<@text (expense.merchant)!"" />,"modifiedMerchant":<@text (expense.modifiedMerchant)!"" />,"created":<@text (expense.created)!"" />,"modifiedCreated":<@text (expense.modifiedCreated)!"" />,"currency":<@text (expense.currency)!"" />,"amount":<@cents (expense.amount)!"" />,"modifiedAmount":<@cents (expense.modifiedAmount)!"" />,"convertedAmount":<@cents (expense.convertedAmount)!"" />,"hasTax":<@flag (expense.hasTax)!"" />,"taxAmount":<@cents (expense.taxAmount)!"" />,"modifiedTaxAmount":<@cents (expense.modifiedTaxAmount)!"" />,"category":<@text (expense.category)!"" />,"categoryGlCode":<@text (expense.categoryGlCode)!"" />,"tag":<@text (expense.tag)!"" />,"tagGlCode":<@text (expense.tagGlCode)!"" />,"ntag1":<@text (expense.ntag1)!"" />,"ntag1GlCode":<@text (expense.ntag1GlCode)!"" />,"ntag2":<@text (expense.ntag2)!"" />,"ntag2GlCode":<@text (expense.ntag2GlCode)!"" />,"ntag3":<@text (expense.ntag3)!"" />,"ntag3GlCode":<@text (expense.ntag3GlCode)!"" />,"comment":<@text (expense.comment)!"" />,"reimbursable":<@flag (expense.reimbursable)!"" />,"billable":<@flag (expense.billable)!"" />,"receiptURL":<@text (expense.receiptObject.url)!"" />}
</#list>
{"k":"Z","reportID":<@text (report.reportID)!"" />,"expenses":${((report.transactionList)![])?size?c}}
</#list>
{"k":"F"}
