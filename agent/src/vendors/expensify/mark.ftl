<#list reports as report>
{"k":"M","reportID":"${((report.reportID)!"")?json_string}"}
</#list>
{"k":"F"}
