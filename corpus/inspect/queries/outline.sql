-- The outline: subdomains with their assertions, briefs and documents.
SELECT
    domain,
    subdomain,
    count(DISTINCT assertion_id) AS assertions,
    (SELECT count(*) FROM briefs WHERE (briefs.domain, briefs.subdomain) = (outline.domain, outline.subdomain))
        AS briefs,
    (SELECT count(*) FROM documents WHERE (documents.domain, documents.subdomain) = (outline.domain, outline.subdomain))
        AS documents
FROM assertions AS outline
GROUP BY domain, subdomain
ORDER BY domain, subdomain
