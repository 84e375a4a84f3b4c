alter table job drop column report_rows;
