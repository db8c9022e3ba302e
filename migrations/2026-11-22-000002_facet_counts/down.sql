DROP TRIGGER images_updated_facets ON images;
DROP TRIGGER images_deleted_facets ON images;
DROP TRIGGER images_inserted_facets ON images;
DROP FUNCTION count_facets();
DROP TABLE facet_counts;
