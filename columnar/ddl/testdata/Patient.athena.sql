-- Layout r4-core/1, schema SHA-256 f3351dc4b7e65dc1b99fb0a73ea9511e89f5979b28d7de515379a93bd16dda65.
-- Athena runs one statement at a time. Names are in lower case, as Glue keeps them: queries
-- may write them in any case. A name that is a keyword or begins with an underscore stands
-- between backticks in DDL and between double quotes in queries.
-- Times are UTC, to the millisecond.
CREATE EXTERNAL TABLE `patient` (
  `resourcetype` string,
  `id` string,
  `meta` struct<`versionid`:string,`lastupdated`:string,`__lastupdated_start`:timestamp,`source`:string,`profile`:array<string>,`security`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`tag`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>>,
  `implicitrules` string,
  `language` string,
  `text` struct<`status`:string,`div`:string>,
  `identifier` array<struct<`use`:string,`type`:struct<`coding`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`text`:string>,`system`:string,`value`:string,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>,`assigner`:struct<`reference`:string,`display`:string>>>,
  `active` boolean,
  `name` array<struct<`use`:string,`text`:string,`family`:string,`given`:array<string>,`prefix`:array<string>,`suffix`:array<string>,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>>,
  `telecom` array<struct<`system`:string,`value`:string,`use`:string,`rank`:int,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>>,
  `gender` string,
  `birthdate` string,
  `__birthdate_start` timestamp,
  `deceasedboolean` boolean,
  `deceaseddatetime` string,
  `__deceaseddatetime_start` timestamp,
  `address` array<struct<`use`:string,`type`:string,`text`:string,`line`:array<string>,`city`:string,`district`:string,`state`:string,`postalcode`:string,`country`:string,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>>,
  `maritalstatus` struct<`coding`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`text`:string>,
  `multiplebirthboolean` boolean,
  `multiplebirthinteger` int,
  `photo` array<struct<`contenttype`:string,`language`:string,`data`:string,`url`:string,`size`:int,`hash`:string,`title`:string,`creation`:string,`__creation_start`:timestamp>>,
  `contact` array<struct<`relationship`:array<struct<`coding`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`text`:string>>,`name`:struct<`use`:string,`text`:string,`family`:string,`given`:array<string>,`prefix`:array<string>,`suffix`:array<string>,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>,`telecom`:array<struct<`system`:string,`value`:string,`use`:string,`rank`:int,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>>,`address`:struct<`use`:string,`type`:string,`text`:string,`line`:array<string>,`city`:string,`district`:string,`state`:string,`postalcode`:string,`country`:string,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>,`gender`:string,`organization`:struct<`reference`:string,`type`:string,`identifier`:struct<`system`:string,`value`:string>,`display`:string>,`period`:struct<`start`:string,`__start_start`:timestamp,`end`:string,`__end_start`:timestamp>>>,
  `communication` array<struct<`language`:struct<`coding`:array<struct<`system`:string,`version`:string,`code`:string,`display`:string,`userselected`:boolean>>,`text`:string>,`preferred`:boolean>>,
  `generalpractitioner` array<struct<`reference`:string,`type`:string,`identifier`:struct<`system`:string,`value`:string>,`display`:string>>,
  `managingorganization` struct<`reference`:string,`type`:string,`identifier`:struct<`system`:string,`value`:string>,`display`:string>,
  `link` array<struct<`other`:struct<`reference`:string,`type`:string,`identifier`:struct<`system`:string,`value`:string>,`display`:string>,`type`:string>>,
  `__extension` array<struct<`path`:string,`modifier`:boolean,`parent`:int,`url`:string,`urls`:array<string>,`type`:string,`value`:string,`system`:string,`display`:string,`json`:string>>,
  `__contained` array<struct<`resourcetype`:string,`id`:string,`json`:string>>,
  `__residual` string,
  `__origin` struct<`source`:string,`feed`:string,`run`:string,`file`:string,`line`:bigint,`transactiontime`:string>
)
PARTITIONED BY (`kiln_source` string, `kiln_feed` string, `kiln_run` string)
STORED AS PARQUET
LOCATION 's3://lake/claims/r4-core-1/Patient/'
TBLPROPERTIES ('classification' = 'parquet', 'parquet.compression' = 'ZSTD');

-- Once now, and after every run that published: it finds the new partitions.
MSCK REPAIR TABLE `patient`;
